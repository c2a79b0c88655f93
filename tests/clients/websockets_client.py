"""Python's `websockets` against a gateway: the protocol as docs/PROTOCOL.md tells it.

Usage: websockets_client.py ws://HOST:PORT/v1/ws [VENUE:SYMBOL]

Each check is a function whose name says what holds. Nothing here sleeps: every check waits for the
message that it is about, and a message that does not come within ten seconds is a failure.
"""

import asyncio
import json
import sys
import zlib
from decimal import Decimal

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

SUBPROTOCOL = "tapecast.v1.json"
PATIENCE = 10


class Session:
    """A connection, with what it has been told so far."""

    def __init__(self, socket):
        self.socket = socket
        self.next_id = 0

    async def receive(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))

    async def until(self, wanted):
        """The next message for which `wanted` holds; others are passed over."""
        async with asyncio.timeout(PATIENCE):
            while not wanted(message := json.loads(await self.socket.recv())):
                pass
            return message

    async def ask(self, op, **fields):
        self.next_id += 1
        await self.socket.send(json.dumps({"op": op, "id": self.next_id, **fields}))
        return self.next_id

    async def answer(self, op, **fields):
        number = await self.ask(op, **fields)
        return await self.until(lambda message: message.get("id") == number)


class BookView:
    """A book as a client keeps it: sizes are absolute, zero removes, the checksum decides."""

    def __init__(self):
        self.bids, self.asks, self.last = {}, {}, None

    def take(self, frame):
        if frame["type"] == "snapshot":
            self.bids, self.asks = {}, {}
        else:
            assert frame["prev"] == self.last, f"{frame['prev']} does not follow {self.last}"
        for side, name in ((self.bids, "bids"), (self.asks, "asks")):
            for price, size in frame[name]:
                if Decimal(size) == 0:
                    side.pop(price, None)
                else:
                    side[price] = size
        self.last = frame["seq"]
        assert self.checksum() == frame["checksum"], f"checksum of {frame['topic']} at {frame['seq']}"

    def checksum(self):
        asks = sorted(self.asks.items(), key=lambda level: Decimal(level[0]))[:10]
        bids = sorted(self.bids.items(), key=lambda level: -Decimal(level[0]))[:10]
        text = ":".join(part for level in asks + bids for part in level)
        return zlib.crc32(text.encode())


async def the_first_frame_is_the_welcome(session, _):
    welcome = session.welcome
    assert welcome["op"] == "welcome" and welcome["protocol"] == "tapecast.v1", welcome
    assert {"topics", "requests_per_s", "request_bytes", "outbox_bytes"} <= welcome["limits"].keys()
    assert session.socket.subprotocol == SUBPROTOCOL


async def acknowledgement_then_snapshot_then_updates(session, name):
    topic = f"trade:{name}"
    answer = await session.answer("subscribe", topics=[topic])
    entry = answer["topics"][0]
    assert entry["topic"] == topic and entry["start"] in ("snapshot", "none"), answer
    first = await session.until(lambda m: m.get("topic") == topic)
    assert first["type"] == "snapshot" and first["seq"] == entry["seq"] and "prev" not in first, first
    last = first["seq"]
    for _ in range(3):
        update = await session.until(lambda m: m.get("topic") == topic)
        assert update["type"] == "update" and update["prev"] == last, update
        assert update["seq"] - update["prev"] == len(update["trades"]), "each print is one event"
        last = update["seq"]


async def a_frame_begins_with_its_topic_and_place(session, name):
    topic = f"quote:{name}"
    await session.answer("subscribe", topics=[topic])
    async with asyncio.timeout(PATIENCE):
        while not (text := await session.socket.recv()).startswith('{"topic":"quote:') or '"update"' not in text:
            pass
    assert list(json.loads(text))[:5] == ["topic", "type", "epoch", "seq", "prev"], text
    quote = json.loads(text)
    assert all(isinstance(quote[key], str) for key in ("bid", "ask", "ts_recv", "ts_out")), quote


async def books_hold_together_at_every_depth(session, name):
    views = {f"book.{depth}:{name}": BookView() for depth in (1, 10, 25, 50, 100, 500)}
    await session.answer("subscribe", topics=list(views))
    seen = dict.fromkeys(views, 0)
    async with asyncio.timeout(3 * PATIENCE):
        while min(seen.values()) < 5:
            frame = json.loads(await session.socket.recv())
            if (topic := frame.get("topic")) in views and "type" in frame:
                views[topic].take(frame)
                seen[topic] += 1
    for topic, view in views.items():
        depth = int(topic.split(":")[0].split(".")[1])
        assert max(len(view.bids), len(view.asks)) <= depth, f"{topic} has more levels than asked for"


async def a_resync_is_answered_with_a_snapshot(session, name):
    topic = f"book.10:{name}"
    await session.answer("subscribe", topics=[topic])
    await session.until(lambda m: m.get("topic") == topic and m.get("type") == "update")
    await session.ask("resync", topics=[topic])
    snapshot = await session.until(lambda m: m.get("topic") == topic and m.get("type") == "snapshot")
    BookView().take(snapshot)


async def after_unsubscribed_nothing_follows(session, name):
    topic = f"quote:{name}"
    await session.answer("subscribe", topics=[topic])
    answer = await session.answer("unsubscribe", topics=[topic])
    assert answer["op"] == "unsubscribed" and answer["topics"] == [topic], answer
    number = await session.ask("ping")
    while (message := await session.receive()).get("id") != number:
        assert message.get("topic") != topic, message
    listed = await session.answer("list")
    assert topic not in [entry["topic"] for entry in listed["topics"]], listed


async def what_cannot_be_had_is_refused_by_name(session, name):
    venue = name.split(":")[0]
    topics = [f"book.26:{name}", f"trade:{venue}:NO-SUCH", "nonsense", f"trade:{name}"]
    answer = await session.answer("subscribe", topics=topics)
    errors = {entry["topic"]: entry["error"] for entry in answer["rejected"]}
    assert errors == {topics[0]: "depth_not_offered", topics[1]: "unknown_symbol", topics[2]: "bad_topic"}, errors
    assert [entry["topic"] for entry in answer["topics"]] == [topics[3]], answer


async def mistakes_are_answered_and_forgiven(session, _):
    for text, error in (("{", "bad_json"), ('{"op":"dance"}', "unknown_op"), ('{"op":"subscribe"}', "missing_field")):
        await session.socket.send(text)
        answer = await session.until(lambda m: m.get("op") == "error")
        assert answer["error"] == error, answer
    assert (await session.answer("ping"))["op"] == "pong"


async def silence_is_told_apart_from_death(session, _):
    beat = await session.until(lambda m: m.get("op") == "heartbeat")
    assert {"now", "topics", "queued_bytes", "lag_ms"} <= beat.keys(), beat
    waiter = await session.socket.ping()
    await asyncio.wait_for(waiter, PATIENCE)


async def a_client_may_close(session, _):
    await session.socket.close(1000)
    try:
        while True:
            await session.receive()
    except ConnectionClosedOK as closed:
        assert closed.rcvd.code == 1000, closed


async def other_paths_and_protocols_are_refused(url):
    for wrong, protocols in ((url.replace("/v1/ws", "/v1/nothing"), None), (url, ["tapecast.v9.json"])):
        try:
            async with connect(wrong, subprotocols=protocols):
                raise AssertionError(f"{wrong} with {protocols} was let in")
        except InvalidStatus as refused:
            assert 400 <= refused.response.status_code < 500, refused


CHECKS = [
    the_first_frame_is_the_welcome,
    acknowledgement_then_snapshot_then_updates,
    a_frame_begins_with_its_topic_and_place,
    books_hold_together_at_every_depth,
    a_resync_is_answered_with_a_snapshot,
    after_unsubscribed_nothing_follows,
    what_cannot_be_had_is_refused_by_name,
    mistakes_are_answered_and_forgiven,
    silence_is_told_apart_from_death,
    a_client_may_close,
]


async def main(url, name="sim:BTC-USD"):
    failed = 0
    for check in CHECKS:
        try:
            async with connect(url, subprotocols=[SUBPROTOCOL]) as socket:
                session = Session(socket)
                session.welcome = await session.receive()
                await check(session, name)
        except Exception as error:  # whatever it is, the other checks still tell something
            failed += 1
            print(f"FAILED {check.__name__}: {type(error).__name__} {error}")
        else:
            print(f"ok     {check.__name__}")
    try:
        await other_paths_and_protocols_are_refused(url)
        print("ok     other_paths_and_protocols_are_refused")
    except Exception as error:
        failed += 1
        print(f"FAILED other_paths_and_protocols_are_refused: {type(error).__name__} {error}")
    print(f"{len(CHECKS) + 1 - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(min(1, asyncio.run(main(*sys.argv[1:]))))
