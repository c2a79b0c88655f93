"""A desk's own feed: published as lines over TCP, watched with Python's `websockets`.

Usage: own_feed.py ws://HOST:PORT/v1/ws PUSH_HOST:PORT

Decimals must arrive as they were sent, to the last digit; ids and times pass through unread; a bad
line is answered with where and why, and the lines after it count.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect

PATIENCE = 10
SYMBOL = "OUR-USD"
TOPICS = [f"{channel}:desk:{SYMBOL}" for channel in ("trade", "quote", "book.10")]

QUOTE = {"channel": "quote", "symbol": SYMBOL, "bid": "1.5", "bid_qty": "10", "ask": "1.60000000001", "ask_qty": "90071992547.40993001",
         "ts_event": "1785641751660084001"}
BOOK = {"channel": "book", "symbol": SYMBOL, "type": "snapshot", "bids": [["1.5", "10"], ["1.49", "3"]], "asks": [["1.6", "7"]],
        "ts_event": "1785641751660084002"}
CHANGE = {"channel": "book", "symbol": SYMBOL, "type": "update", "bids": [["1.49", "0"], ["1.51", "0.00000001"]], "asks": [],
          "ts_event": "1785641751660084003"}
TRADE = {"channel": "trade", "symbol": SYMBOL, "trades": [
    {"id": "a-1", "price": "1.55555555555", "qty": "0.1", "side": "buy", "ts_event": "1785641751660084004"},
    {"id": "a-2", "price": "1.5", "qty": "2", "side": "sell", "ts_event": "1785641751660084005"}]}


async def until(socket, wanted):
    async with asyncio.timeout(PATIENCE):
        while not wanted(message := json.loads(await socket.recv())):
            pass
        return message


async def main(url, push):
    host, port = push.rsplit(":", 1)
    async with connect(url, subprotocols=["tapecast.v1.json"]) as socket:
        await socket.send(json.dumps({"op": "subscribe", "id": 1, "topics": TOPICS}))
        answer = await until(socket, lambda m: m.get("id") == 1)
        assert [entry["topic"] for entry in answer["topics"]] == TOPICS, answer
        reader, writer = await asyncio.open_connection(host, int(port))

        async def publish(*events):
            for event in events:
                writer.write((event if isinstance(event, str) else json.dumps(event)).encode() + b"\n")
            await writer.drain()

        def frame(channel, wanted=lambda _: True):
            return until(socket, lambda m: m.get("topic", "").startswith(channel) and "type" in m and wanted(m))

        await publish(QUOTE)
        quote = await frame("quote")
        for key in ("bid", "bid_qty", "ask", "ask_qty", "ts_event"):
            assert quote[key] == QUOTE[key], (key, quote)

        await publish(BOOK)
        book = await frame("book", lambda m: m["bids"])
        assert (book["type"], book["bids"], book["asks"]) == ("snapshot", BOOK["bids"], BOOK["asks"]), book
        await publish(CHANGE)
        change = await frame("book", lambda m: m["type"] == "update")
        assert change["prev"] == book["seq"] and change["asks"] == [], change
        assert sorted(change["bids"]) == sorted(CHANGE["bids"]), change

        await publish('{"channel":"quote","symbol":"OUR-USD","bid":"1.5.5"}', TRADE)
        line = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE))
        assert line["line"] == 4 and line["message"], line
        trades = []
        while len(trades) < 2:
            trades += (await frame("trade", lambda m: m["trades"]))["trades"]
        assert trades == TRADE["trades"], trades
        writer.close()
    print("4 passed, 0 failed")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
