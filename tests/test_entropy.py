from crypto_checkout.entropy import Entropy


def test_no_bytes_are_given_out_twice_and_each_answer_is_as_long_as_asked() -> None:
    entropy = Entropy()
    taken = [entropy.take(10) for _ in range(5_000)]
    assert {len(each) for each in taken} == {10}
    assert len(set(taken)) == len(taken)


def test_more_than_is_fetched_at_once_can_be_taken() -> None:
    assert len(Entropy().take(10_000)) == 10_000
