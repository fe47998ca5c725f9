import asyncio
from datetime import UTC, timedelta

from modelfleet import clock, telemetry
from support import virtual_time


def test_a_loop_that_is_late_is_seen():
    async def main():
        late, seen = 0.0, []
        sampler = asyncio.create_task(
            telemetry.sample_loop_lag(lambda: virtual_time.monotonic() + late, 0.5, seen.append)
        )
        await asyncio.sleep(0.75)
        late = 0.2  # the sampler was to wake at 1.0 and wakes 0.2 s later
        await asyncio.sleep(0.5)
        await virtual_time.cancelled(sampler)
        return [round(lag, 3) for lag in seen]

    assert virtual_time.run(main()) == [0.0, 0.2]


def test_the_clock_tells_utc():
    assert clock.utc_now().utcoffset() == timedelta(0)
    assert clock.utc_now().tzinfo is UTC


def test_the_clock_that_measures_does_not_go_back():
    assert clock.monotonic() <= clock.monotonic()
