// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import "../src/Collect.sol";
import "./Tokens.sol";

/// The cheat codes of forge that these tests use.
interface Vm {
    function deal(address, uint256) external;
    function etch(address, bytes calldata) external;
    function assume(bool) external pure;
    function prank(address) external;
    function addr(uint256) external returns (address);
}

/// The deployment proxy, the contracts, and a token of every kind.
contract Base {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address constant P = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    Forwarder f;
    Collector c;
    Plain[8] tok;
    FiatImpl usdc;

    function _base() internal {
        vm.etch(
            P,
            hex"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
        );
        f = new Forwarder();
        c = new Collector(address(f));
        address impl = address(new FiatImpl());
        vm.prank(address(0xad));
        usdc = FiatImpl(address(new FiatProxy(impl)));
        tok[0] = new Usdt();
        tok[1] = new Falsy();
        tok[2] = new Two();
        tok[3] = new Fee();
        tok[4] = new Bomb();
        tok[5] = new ReturnBomb();
        tok[6] = new Reenter();
        tok[7] = Plain(address(new Liar()));
    }

    function _one(address t, bytes32 s) internal pure returns (Collector.Deposits[] memory g) {
        g = new Collector.Deposits[](1);
        g[0].token = t;
        g[0].salts = new bytes32[](1);
        g[0].salts[0] = s;
    }

    function ok(bool b, string memory m) internal pure {
        require(b, m);
    }
}

contract CollectTest is Base {
    function setUp() public {
        _base();
    }

    function good(address d) internal view returns (bool) {
        return uint160(d) > 1000 && d.code.length == 0 && d != address(vm);
    }

    function testFuzz_address_is_create2(address d, bytes32 s) public {
        vm.assume(d != address(0));
        c.collect(d, _one(address(0), s));
        address a = c.addressOf(d, s);
        ok(a.code.length == 71, "len");
        bytes memory code = a.code;
        bytes memory want = c.initCode(d);
        for (uint i; i < 71; i++) {
            ok(code[i] == want[i + 10], "code");
        }
    }

    function testFuzz_coin_before_and_after(address d, bytes32 s, uint96 x, uint96 y, address who) public {
        vm.assume(good(d));
        address a = c.addressOf(d, s);
        uint b0 = d.balance;
        vm.deal(a, x);
        vm.prank(who);
        c.collect(d, _one(address(0), s));
        ok(d.balance == b0 + x && a.balance == 0, "1");
        vm.deal(address(this), y);
        (bool r,) = a.call{value: y, gas: 2300}("");
        ok(r, "2300");
        vm.prank(who);
        c.collect(d, _one(address(0), s));
        ok(d.balance == b0 + uint(x) + y, "2");
    }

    function testFuzz_usdc(address d, bytes32 s, uint128 v) public {
        vm.assume(d != address(0) && d != c.addressOf(d, s));
        usdc.mint(c.addressOf(d, s), v);
        uint m = c.collect(d, _one(address(usdc), s));
        ok(usdc.balanceOf(d) == v && m == (v > 0 ? 1 : 0), "usdc");
    }

    function testFuzz_nothing_else_moves(address d, bytes32 s, bytes calldata junk, uint96 v, address who) public {
        // any calldata, by anyone: money goes to d or stays
        vm.assume(good(d) && who != P && who != address(0xad));
        address a = c.addressOf(d, s);
        vm.assume(d != a);
        c.collect(d, _one(address(0), s));
        usdc.mint(a, v);
        vm.deal(a, v);
        uint b0 = d.balance;
        vm.prank(who);
        (bool r,) = a.call(junk);
        r;
        ok(usdc.balanceOf(a) + usdc.balanceOf(d) == v, "token");
        ok(a.balance + d.balance - b0 == v, "coin");
    }

    function testFuzz_extra_calldata_changes_nothing(bytes32 s, uint96 v, address thief, bytes calldata tail) public {
        vm.assume(thief != address(0xd00d) && thief != address(0));
        address d = address(0xd00d);
        address a = c.addressOf(d, s);
        vm.assume(thief != a);
        c.collect(d, _one(address(0), s));
        usdc.mint(a, v);
        vm.deal(a, v);
        uint t0 = thief.balance;
        for (uint k; k < 2; k++) {
            address t = k == 0 ? address(usdc) : address(0);
            (bool r,) = a.call(
                abi.encodePacked(
                    bytes4(0x06ec16f8),
                    uint256(uint160(t)),
                    uint256(uint160(thief)),
                    uint256(uint160(thief)),
                    tail,
                    thief
                )
            );
            r;
        }
        ok(usdc.balanceOf(d) == v && d.balance == v && usdc.balanceOf(thief) == 0 && thief.balance == t0, "thief");
    }

    function testFuzz_bad_items_do_not_block(uint8 bad, uint8 n, uint64 v) public {
        vm.assume(v > 0);
        address d = address(0xd00d);
        n = n % 6 + 1;
        Collector.Deposits[] memory g = new Collector.Deposits[](3);
        for (uint k; k < 3; k++) {
            g[k].salts = new bytes32[](n);
            g[k].token = k == 1 ? address(tok[1 + bad % 5]) : address(usdc);
            for (uint i; i < n; i++) {
                g[k].salts[i] = bytes32(k * 100 + i);
                address a = c.addressOf(d, g[k].salts[i]);
                if (k == 1) tok[1 + bad % 5].mint(a, v);
                else usdc.mint(a, v);
            }
        }
        c.collect{gas: 30_000_000}(d, g);
        ok(usdc.balanceOf(d) == uint(v) * 2 * n, "blocked");
    }

    function test_blacklisted_deposit_does_not_block() public {
        address d = address(0xd00d);
        Collector.Deposits[] memory g = new Collector.Deposits[](1);
        g[0].token = address(usdc);
        g[0].salts = new bytes32[](3);
        for (uint i; i < 3; i++) {
            g[0].salts[i] = bytes32(i);
            usdc.mint(c.addressOf(d, bytes32(i)), 7);
        }
        usdc.blacklist(c.addressOf(d, bytes32(uint(1))));
        ok(c.collect(d, g) == 2 && usdc.balanceOf(d) == 14, "bl");
    }

    function test_usdt_fee_reenter() public {
        address d = address(0xd00d);
        for (uint k; k < 7; k += 3) {
            tok[k].mint(c.addressOf(d, bytes32(k)), 1000);
            vm.deal(c.addressOf(d, bytes32(k)), 5);
            ok(c.collect(d, _one(address(tok[k]), bytes32(k))) <= 1, "m");
        }
        ok(tok[0].balanceOf(d) == 1000, "usdt");
        ok(tok[3].balanceOf(d) == 990, "fee");
        ok(tok[6].balanceOf(d) == 1000 && d.balance == 5, "re");
    }

    function test_destinations() public {
        Burner b = new Burner();
        Refuses r = new Refuses();
        SafeProxy s = new SafeProxy(address(new SafeImpl()));
        address[3] memory d = [address(b), address(r), address(s)];
        for (uint k; k < 3; k++) {
            address a = c.addressOf(d[k], 0);
            vm.deal(a, 9);
            uint g = gasleft();
            uint m = c.collect(d[k], _one(address(0), 0));
            g -= gasleft();
            ok(m == (k == 2 ? 1 : 0) && d[k].balance == (k == 2 ? 9 : 0) && a.balance == (k == 2 ? 0 : 9), "dest");
            ok(g < 420_000, "gas");
        }
    }

    function test_reentering_destination() public {
        Reenterer d = new Reenterer();
        address[] memory all = new address[](3);
        Collector.Deposits[] memory g = new Collector.Deposits[](1);
        g[0].salts = new bytes32[](3);
        for (uint i; i < 3; i++) {
            g[0].salts[i] = bytes32(i);
            all[i] = c.addressOf(address(d), bytes32(i));
            c.collect(address(d), _one(address(0), bytes32(i)));
            vm.deal(all[i], 3);
        }
        d.set(all);
        c.collect(address(d), g);
        ok(address(d).balance == 9, "re");
    }

    function test_implementation_alone_is_inert() public {
        vm.deal(address(f), 5);
        usdc.mint(address(f), 5);
        (bool r,) = address(f).call(abi.encodeCall(Forwarder.collect, (address(0))));
        ok(!r, "impl");
        (r,) = address(f).call{value: 1}("");
        ok(!r, "pay");
    }

    function test_what_says_no_is_not_collected() public {
        for (uint k = 1; k < 3; k++) {
            tok[k].mint(c.addressOf(address(0xd00d), bytes32(k)), 5);
            ok(
                c.collect(address(0xd00d), _one(address(tok[k]), bytes32(k))) == 0
                    && tok[k].balanceOf(c.addressOf(address(0xd00d), bytes32(k))) == 5,
                "no"
            );
        }
    }

    function testFuzz_no_silent_miss(uint32 gas_) public {
        Heavy h = new Heavy();
        address d = address(0xd00d);
        c.collect(d, _one(address(0), 0));
        h.mint(c.addressOf(d, 0), 5);
        try c.collect{gas: 21000 + gas_ % 900_000}(d, _one(address(h), 0)) returns (uint m) {
            ok(m == 1, "silent miss");
        }
            catch {}
        c.collect{gas: 900_000}(d, _one(address(h), 0));
        ok(h.balanceOf(d) == 5, "heavy");
    }

    function testFuzz_low_gas_is_harmless(uint32 gas_, uint64 v) public {
        vm.assume(v > 0);
        address d = address(0xd00d);
        usdc.mint(c.addressOf(d, 0), v);
        uint g = 21000 + gas_ % 900_000;
        try c.collect{gas: g}(d, _one(address(usdc), 0)) returns (uint m) {
            ok(m == 1, "silent miss");
        }
            catch {}
        ok(usdc.balanceOf(d) + usdc.balanceOf(c.addressOf(d, 0)) == v, "lost");
        c.collect(d, _one(address(usdc), 0));
        ok(usdc.balanceOf(d) == v, "later");
    }

    function testFuzz_delegate(uint256 k, uint96 v, bytes calldata junk, address who) public {
        address d = address(0xd00d);
        k = k % 1e70 + 1;
        address a = vm.addr(k);
        Delegate g = new Delegate(d);
        vm.etch(a, abi.encodePacked(hex"ef0100", address(g)));
        usdc.mint(a, v);
        vm.deal(a, v);
        vm.prank(who);
        (bool r,) = a.call(junk);
        r;
        ok(usdc.balanceOf(a) + usdc.balanceOf(d) == v && a.balance + d.balance == v, "junk");
        Collector.Accounts[] memory q = new Collector.Accounts[](2);
        q[0].token = address(usdc);
        q[0].accounts = new address[](1);
        q[0].accounts[0] = a;
        q[1].accounts = q[0].accounts;
        c.collectFrom(q);
        ok(usdc.balanceOf(d) == v && d.balance == v, "delegate");
    }
}

/// Any order of payments, collections by strangers, direct calls, too little gas, code placed early and blacklists.
contract Handler is Base {
    address public d = address(0xd00d);
    uint public paidCoin;
    uint public paidUsdc;

    constructor() {
        _base();
    }

    function a(uint8 i) public view returns (address) {
        return c.addressOf(d, bytes32(uint(i % 8)));
    }

    function payCoin(uint8 i, uint64 v) external {
        address x = a(i);
        vm.deal(address(this), v);
        (bool r,) = x.call{value: v, gas: 2300}("");
        require(r);
        paidCoin += v;
    }

    function payUsdc(uint8 i, uint64 v) external {
        usdc.mint(a(i), v);
        paidUsdc += v;
    }

    function collect(uint8 i, uint8 t, uint32 g) external {
        address t_ = t % 3 == 0 ? address(0) : t % 3 == 1 ? address(usdc) : address(tok[t % 8]);
        try c.collect{gas: 100000 + g % 3000000}(d, _one(t_, bytes32(uint(i % 8)))) {} catch {}
    }

    function direct(uint8 i, address who, bytes calldata x) external {
        if (who == P || who == address(usdc)) return;
        address y = a(i);
        vm.prank(who);
        (bool r,) = y.call(x);
        r;
    }

    function deployRaw(uint8 i) external {
        (bool r,) = P.call(abi.encodePacked(uint(i % 8), c.initCode(d)));
        r;
    }

    function blacklist(uint8 i) external {
        if (i % 16 < 2) usdc.blacklist(a(i));
    }

    function held() external view returns (uint x, uint y) {
        x = d.balance;
        y = usdc.balanceOf(d);
        for (uint8 i; i < 8; i++) {
            x += a(i).balance;
            y += usdc.balanceOf(a(i));
        }
    }
}

contract CollectInvariant {
    Handler h;

    function setUp() public {
        h = new Handler();
    }

    function targetContracts() public view returns (address[] memory x) {
        x = new address[](1);
        x[0] = address(h);
    }

    function invariant_money_is_at_a_deposit_or_at_the_destination() public view {
        (uint x, uint y) = h.held();
        require(x == h.paidCoin() && y == h.paidUsdc(), "money went elsewhere");
    }
}

/// Proofs for halmos: for every calldata and every caller.
contract CheckCollect is Base {
    address constant D = address(0xd00d);
    address a;

    function setUp() public {
        _base();
        a = address(0xa11ce);
        bytes memory x = c.initCode(D);
        bytes memory code = new bytes(71);
        for (uint i; i < 71; i++) {
            code[i] = x[i + 10];
        }
        vm.etch(a, code);
    }

    function check_any_call_moves_coin_to_destination_only(
        address who,
        bytes4 sel,
        uint256 w1,
        uint256 w2,
        uint256 w3,
        uint96 v
    ) public {
        vm.assume(who != a && who != D);
        vm.deal(a, v);
        vm.deal(D, 0);
        uint b = who.balance;
        uint t = address(this).balance;
        vm.prank(who);
        (bool r,) = a.call(abi.encodePacked(sel, w1, w2, w3));
        r;
        assert(a.balance + D.balance == v);
        assert(who.balance == b && address(this).balance == t);
    }

    function check_usdt_like_moves_to_destination_only(address who, bytes4 sel, uint256 w2, uint256 w3, uint96 v)
        public
    {
        vm.assume(who != a && who != D && who != address(tok[0]));
        tok[0].mint(a, v);
        vm.prank(who);
        (bool r,) = a.call(abi.encodePacked(sel, uint256(uint160(address(tok[0]))), w2, w3));
        r;
        assert(tok[0].balanceOf(a) + tok[0].balanceOf(D) == v);
        assert(tok[0].balanceOf(who) == 0);
    }
}
