// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.20;

interface IToken {
    function transfer(address to, uint256 units) external returns (bool);
}

/// What pays from inside: exchanges in batches, wallets of code, and contracts at their end.
contract Payer {
    constructor() payable {}

    receive() external payable {}

    /// Pay many in one transaction, as exchanges do.
    function payAll(address payable[] calldata to, uint256[] calldata wei_) external payable {
        for (uint256 i = 0; i < to.length; i++) {
            (bool ok, ) = to[i].call{value: wei_[i]}("");
            require(ok, "refused");
        }
    }

    /// Split what comes with the call in equal shares.
    function split(address payable[] calldata to) external payable {
        for (uint256 i = 0; i < to.length; i++) {
            (bool ok, ) = to[i].call{value: msg.value / to.length}("");
            require(ok, "refused");
        }
    }

    /// Pay, then regret it: the whole transaction is undone.
    function payAndRevert(address payable to, uint256 wei_) external {
        (bool ok, ) = to.call{value: wei_}("");
        require(ok, "refused");
        revert("regretted");
    }

    /// Pay in a call that is undone, and go on.
    function payAndTakeBack(address payable to, uint256 wei_) external {
        try this.payAndRevert(to, wei_) {} catch {}
    }

    /// Send several of a token's transfers in one transaction.
    function sendTokens(IToken token, address[] calldata to, uint256[] calldata units) external {
        for (uint256 i = 0; i < to.length; i++) {
            require(token.transfer(to[i], units[i]), "refused");
        }
    }

    function end(address payable to) external {
        selfdestruct(to);
    }
}

/// A token like most.
contract Token {
    string public constant symbol = "USDC";
    uint8 public constant decimals = 6;
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor() {
        balanceOf[msg.sender] = 10 ** 18;
    }

    function transfer(address to, uint256 units) public virtual returns (bool) {
        _move(msg.sender, to, units);
        return true;
    }

    function _move(address from, address to, uint256 units) internal {
        require(balanceOf[from] >= units, "too little");
        balanceOf[from] -= units;
        balanceOf[to] += units;
        emit Transfer(from, to, units);
    }
}

/// A token that keeps 2 % of each transfer.
contract TaxedToken is Token {
    function transfer(address to, uint256 units) public override returns (bool) {
        uint256 fee = units / 50;
        _move(msg.sender, address(this), fee);
        _move(msg.sender, to, units - fee);
        return true;
    }
}

/// A token that keeps 2 % of each transfer, and logs the whole.
contract GrossToken is Token {
    function transfer(address to, uint256 units) public override returns (bool) {
        require(balanceOf[msg.sender] >= units, "too little");
        balanceOf[msg.sender] -= units;
        balanceOf[to] += units - units / 50;
        emit Transfer(msg.sender, to, units);
        return true;
    }
}

/// A token whose issuer freezes accounts.
contract FreezingToken is Token {
    mapping(address => bool) public isFrozen;

    function freeze(address account) external {
        isFrozen[account] = true;
    }

    function transfer(address to, uint256 units) public override returns (bool) {
        require(!isFrozen[msg.sender], "frozen");
        return super.transfer(to, units);
    }
}

/// A wallet of code that refuses every payment.
contract Refusing {
    receive() external payable {
        revert("refused");
    }
}
