"""A model server that is really broken, in one of the ways that servers break. Standard library only.

Given to a pod as `python -c`: it answers the protocol's health paths on port 8080 and fails as its argument says:
  fail=P     answers 500 to a share P of predictions
  hang       accepts predictions and never answers
  delay=S    answers after S seconds (not broken: a slow, healthy server)
  poison=T   answers 500 to predictions whose body has the text T: rows that no version of the model can take
  crash=N    ends with exit code 1 at its Nth prediction, and again after each restart
  eat        takes memory without end as soon as it runs
  die        ends with exit code 1 at once
  unready    is alive and never ready
"""

import asyncio
import itertools
import json
import os
import random
import sys

mode, _, value = sys.argv[1].partition("=")
if mode == "die":
    sys.exit("the model server cannot start")
predictions = itertools.count(1)
if mode == "eat":
    eaten = []
    while True:
        eaten.append(os.urandom(1 << 24))
body = json.dumps({"prediction": [0], "version": os.environ.get("REDSTART_VERSION", "")}).encode()


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = next(
                (int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0
            )
            asks = await reader.readexactly(size)
            status = 200
            if b"/v2/health/ready" in head:
                status = 503 if mode == "unready" else 200
            elif head.startswith(b"POST"):
                asked = next(predictions)
                if mode == "crash" and asked >= int(value):
                    os._exit(1)
                if mode == "poison" and value.encode() in asks:
                    status = 500
                if mode == "hang":
                    await asyncio.sleep(3600)
                if mode == "delay":
                    await asyncio.sleep(float(value))
                if mode == "fail" and random.random() < float(value):
                    status = 500
            writer.write(
                b"HTTP/1.1 %d x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % (status, len(body))
                + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8080)
    await server.serve_forever()


asyncio.run(main())
