"""The operator's own reader of metrics, to be run in its image on a pod's own page."""

READ = """
import asyncio, json, sys
from modelfleet import clock
from modelfleet.engines import parse
from modelfleet.servers.client import Client
from modelfleet.servers.scrape import Scraper, Target

async def main(address, port, engine):
    target = Target(pod="", namespace="", model="", revision="", address=address, port=int(port),
                    metrics=parse(engine).spec.metrics)
    async with Client() as client:
        (answer,) = await Scraper(client).scrape([target], clock.utc_now())
    print(json.dumps({**answer.values, "histograms": list(answer.histograms)}))

asyncio.run(main(*sys.argv[1:]))
"""
