// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Tokens and destinations of every kind that Collector may meet, well-behaved and not.

contract Plain {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Answers nothing, as USDT does.
contract Usdt is Plain {
    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        assembly {
            return(0, 0)
        }
    }
}

/// Answers false and moves nothing.
contract Falsy is Plain {
    function transfer(address, uint256) external pure override returns (bool) {
        return false;
    }
}

/// Answers 2, which is neither true nor false, and moves nothing.
contract Two is Plain {
    function transfer(address, uint256) external pure override returns (bool) {
        assembly {
            mstore(0, 2)
            return(0, 32)
        }
    }
}

/// Keeps one percent of each transfer.
contract Fee is Plain {
    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount - amount / 100);
        _move(msg.sender, address(this), amount / 100);
        return true;
    }
}

/// Uses up all gas.
contract Bomb is Plain {
    function transfer(address, uint256) external pure override returns (bool) {
        while (true) {}
        return true;
    }
}

/// Reverts with as much data as the gas allows.
contract ReturnBomb is Plain {
    function transfer(address, uint256) external pure override returns (bool) {
        assembly {
            revert(0, 1000000)
        }
    }
}

interface ICollect {
    function collect(address token) external returns (uint256);
}

/// Has its sender collect the coin and itself again, in the midst of a transfer.
contract Reenter is Plain {
    bool private inside;

    function transfer(address to, uint256 amount) external override returns (bool) {
        if (!inside) {
            inside = true;
            try ICollect(msg.sender).collect(address(0)) {} catch {}
            try ICollect(msg.sender).collect(address(this)) {} catch {}
            inside = false;
        }
        uint256 held = balanceOf[msg.sender];
        _move(msg.sender, to, amount < held ? amount : held);
        return true;
    }
}

/// Says that everybody has much, and answers true to everything.
contract Liar {
    function balanceOf(address) external pure returns (uint256) {
        return type(uint128).max;
    }

    function mint(address, uint256) external {}

    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }
}

/// A transfer that takes a quarter of a million gas, and works.
contract Heavy is Plain {
    function transfer(address to, uint256 amount) external override returns (bool) {
        uint256 end = gasleft() - 230_000;
        while (gasleft() > end) {}
        _move(msg.sender, to, amount);
        return true;
    }
}

/// A token behind an upgradeable proxy, with a pause and a blacklist in each balance's highest bit, as USDC has them.
contract FiatImpl {
    uint256 private constant BLACKLISTED = 1 << 255;

    address private implementation; // the proxy's
    address private admin; // the proxy's
    bool public paused;
    mapping(address => uint256) private states;

    event Transfer(address indexed from, address indexed to, uint256 amount);

    function balanceOf(address who) public view returns (uint256) {
        return states[who] & ~BLACKLISTED;
    }

    function mint(address to, uint256 amount) external {
        states[to] += amount;
    }

    function blacklist(address who) external {
        states[who] |= BLACKLISTED;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        require(!paused, "paused");
        require(states[msg.sender] & BLACKLISTED == 0 && states[to] & BLACKLISTED == 0, "blacklisted");
        require(to != address(0), "zero");
        states[msg.sender] -= amount;
        states[to] += amount;
        emit Transfer(msg.sender, to, amount);
        return true;
    }
}

/// Delegates to its implementation, but not for its admin, as USDC's proxy does.
contract FiatProxy {
    address private implementation;
    address private admin;

    constructor(address to) {
        implementation = to;
        admin = msg.sender;
    }

    fallback() external payable {
        require(msg.sender != admin, "the admin can't use the token");
        address to = implementation;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), to, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) {
                revert(0, returndatasize())
            }
            return(0, returndatasize())
        }
    }
}

// --- destinations ----------------------------------------------------------------------------------------------------

/// Burns all gas of a payment.
contract Burner {
    receive() external payable {
        while (true) {}
    }
}

/// Refuses every payment.
contract Refuses {
    receive() external payable {
        revert("no");
    }
}

/// Takes payments with an event, as a Safe does.
contract SafeImpl {
    address private singleton; // the proxy's

    event SafeReceived(address indexed sender, uint256 value);

    receive() external payable {
        emit SafeReceived(msg.sender, msg.value);
    }
}

/// Delegates everything, as a Safe's proxy does.
contract SafeProxy {
    address private singleton;

    constructor(address to) {
        singleton = to;
    }

    fallback() external payable {
        assembly {
            let to := and(sload(0), 0xffffffffffffffffffffffffffffffffffffffff)
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), to, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) {
                revert(0, returndatasize())
            }
            return(0, returndatasize())
        }
    }
}

/// Collects from all deposits whenever it is paid.
contract Reenterer {
    address[] private deposits;

    function set(address[] calldata all) external {
        deposits = all;
    }

    receive() external payable {
        for (uint256 i; i < deposits.length; i++) {
            try ICollect(deposits[i]).collect(address(0)) {} catch {}
        }
    }
}
