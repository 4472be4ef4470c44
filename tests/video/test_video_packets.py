"""Which packets are decoded: worked out by hand, and for any stream."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmrec.video import packets
from llmrec.video.packets import How, Parcel, Plan, large_packets

PIXELS = 1280 * 720


def run(plan: Plan, parcels: list[Parcel], frames: int = 1) -> list[tuple[float, str]]:
    """Time and treatment of each packet in the order in which they came out; ends of groups left out.

    ``frames`` come out of each packet that is decoded.
    """
    out = []
    for parcel in [*parcels, None]:
        for due, how in plan.finish() if parcel is None else plan.add(parcel):
            plan.came(frames * (how in (How.WHOLE, How.REFERENCES)))
            out += [(due.time, how.value)] if how is not How.END else []
    return out


def group(start: float, seconds: float, size: int = 300, rate: int = 25, key: int = 100_000, **large: int):
    """A keyframe and small packets after it; ``t50=60_000`` makes the fiftieth large."""
    parcels = [Parcel(start, key, True)]
    for number in range(1, round(seconds * rate)):
        parcels.append(Parcel(start + number / rate, large.get(f"t{number}", size), False))
    return parcels


def test_large_packets_by_hand() -> None:
    times = np.arange(1, 51) / 25  # two seconds: eight stretches of six or seven packets
    sizes = np.full(50, 1000.0)
    sizes[::3] = 2000  # P frames among B frames are not large
    assert large_packets(times, sizes, 10_000) == []
    sizes[30] = 8000
    # (8000 - 2000) / 10000 of a keyframe is new
    assert large_packets(times, sizes, 10_000) == [(30, 0.6)]
    assert large_packets(times, sizes, 200_000) == []  # too little of so detailed a picture
    assert large_packets(times[:0], sizes[:0], 10_000) == []


def test_of_a_quiet_stream_only_keyframes_are_decoded() -> None:
    out = run(Plan(PIXELS), group(0, 10) + group(10, 10))
    assert [time for time, how in out if how == "whole"] == [0, 10]
    assert {how for time, how in out if time not in (0, 10)} == {"skip"}


def test_slow_change_is_looked_at_when_a_keyframe_of_bytes_has_come() -> None:
    # 100 kB have come after 50 packets of 2 kB, which are shown by 2 s
    decoded = [time for time, how in run(Plan(320 * 180), group(0, 3, size=2_000)) if how == "references"]
    assert decoded[-1] == 2.0 and len(decoded) == 50


def test_a_large_packet_is_decoded_up_to() -> None:
    # 2 s in, a product comes up: the 50 packets before it and 0.4 s after it are 60 to 61 packets
    out = run(Plan(PIXELS), group(0, 10, t50=60_000) + group(10, 10))
    decoded = [time for time, how in out if how == "references"]
    assert decoded[0] == 0.04 and decoded[-1] == 2.4 and len(decoded) == 60
    # the work, 60 frames and their bytes, is taken from the allowance
    plan = Plan(PIXELS)
    spent = 60 * PIXELS + (59 * 300 + 60_000) * packets.PIXELS_PER_BYTE + PIXELS + 100_000 * packets.PIXELS_PER_BYTE
    run(plan, group(0, 10, t50=60_000))
    assert plan.allowance == packets.FIRST + (10 - 0.04) * packets.ALLOWANCE - spent


def test_what_cannot_be_afforded_is_not_decoded() -> None:
    # 9 s in: 235 frames of 720p are 217 million pixels, the allowance 60 and 9 * 6 million
    out = run(Plan(PIXELS), group(0, 10, t225=60_000))
    assert [how for _, how in out].count("references") == 0
    # unless it brings more than a whole keyframe, which can be decoded alone
    out = run(Plan(PIXELS, alone=True), group(0, 10, t225=160_000))
    assert [time for time, how in out if how == "alone"] == [9.0]


def test_keyframes_close_together_are_paid_for() -> None:
    small = [Parcel(number / 25, 1_000, True) for number in range(100)]
    times = [time for time, how in run(Plan(100 * 100), small)]
    assert np.diff(times).min() >= packets.CLOSEST and len(times) >= 12
    large = [Parcel(number / 25, 10_000_000, True) for number in range(100)]
    times = [time for time, how in run(Plan(PIXELS), large)]
    assert times == [0.0, 1.96, 3.92]  # those that must be: one in two seconds


def test_a_stream_without_keyframes_is_decoded_whole() -> None:
    endless = group(0, 60)
    out = run(Plan(PIXELS), endless)
    assert len(out) == len(endless) and {how for _, how in out[1:]} == {"references"}
    headless = [parcel for parcel in group(0, 3) if not parcel.key]
    assert len(run(Plan(PIXELS), headless)) == len(headless)


def test_what_the_file_calls_a_keyframe_may_be_none() -> None:
    parcels = [Parcel(number / 25, 1_000, True) for number in range(500)]
    plan = Plan(100 * 100)
    out = run(plan, parcels, frames=0)
    begins = round(out[packets.TRIES][0] * 25)
    assert out[-1] == (499 / 25, "whole") and len(out) - packets.TRIES == 500 - begins


@given(
    st.lists(st.tuples(st.floats(-5, 400), st.integers(1, 3_000_000), st.booleans()), max_size=80),
    st.booleans(),
)
def test_any_stream_keeps_its_order_and_its_limits(drawn: list[tuple[float, int, bool]], alone: bool) -> None:
    plan = Plan(PIXELS, alone)
    parcels = [Parcel(time, size, key, number) for number, (time, size, key) in enumerate(drawn)]
    out = []
    for parcel in parcels:
        out += plan.add(parcel)
        assert sum(waiting.size for waiting in plan._group) <= packets.WAITING
        assert plan.allowance <= packets.MOST
    out += plan.finish()
    numbers = [parcel.packet for parcel, how in out if how is not How.END]
    assert numbers == sorted(set(numbers))
    # whoever is shown something is shown at least one frame
    assert not parcels or any(how in (How.WHOLE, How.REFERENCES) for _, how in out)
