"""Carries exchanges in one session with grpcio, by docs/protocol.md alone: section
20, and what it refers to. Arguments: the server's address and the folder of the
generated code; stdin has a list of requests, {"path", "method", "text"}, which are
open at once. Prints a list of {"status", "size", "sha256"} in their order."""

import hashlib
import json
import queue
import sys

import grpc

address, generated = sys.argv[1:]
sys.path.insert(0, generated)

from culvert.v1 import message_pb2, service_pb2_grpc, session_pb2  # noqa: E402

KIB = 1024
SESSION_CREDIT = 8 * KIB * KIB  # 20.5
WINDOW = 256 * KIB  # 20.2: the least, and what holds before a hello
PART_COST = 32  # 20.5
PART_DATA = 64 * KIB  # 20.5: what a part should have at most
MAX_UNTIL_HELLO = 100  # 20.2


def cost(part):
    """20.5. A part of 0 bytes costs nothing."""
    size = part.ByteSize()
    return size + PART_COST if size else 0


class Violation(Exception):
    """The server broke a rule of the session."""


class Exchange:
    def __init__(self, number, request):
        self.number = number
        self.unsent = request.get("text", "").encode()
        self.head = message_pb2.RequestHead(method=request.get("method", ""), path=request["path"])
        self.credit = WINDOW  # for what is sent
        self.owed = 0  # for what was received
        self.request_open = True  # neither ended nor stopped
        self.response_open = True
        self.status = None
        self.size = 0
        self.sum = hashlib.sha256()
        self.error = None

    def next_part(self):
        part = message_pb2.RequestFrame(data=self.unsent[:PART_DATA])
        if self.head is not None:
            part.head.CopyFrom(self.head)
        part.end = len(self.unsent) <= PART_DATA
        return part

    def sent(self, part):
        self.unsent = self.unsent[len(part.data):]
        self.head = None
        if part.end:
            self.request_open = False

    def received(self, part):
        if part.HasField("head"):
            self.status = part.head.status
        self.size += len(part.data)
        self.sum.update(part.data)
        if part.end:
            self.response_open = False

    def outcome(self):
        if self.error is not None:
            return {"error": self.error}
        return {"status": self.status, "size": self.size, "sha256": self.sum.hexdigest()}


class Session:
    def __init__(self, stub):
        self.outgoing = queue.Queue()
        hello = session_pb2.Hello(version=1, window=WINDOW, max_head_bytes=64 * KIB, max_fields=1000)
        self.send(session_pb2.ClientFrame(hello=hello))
        self.responses = stub.Session(iter(self.outgoing.get, None))
        self.credit = SESSION_CREDIT
        self.owed = 0
        self.window = WINDOW  # the server's
        self.max_exchanges = MAX_UNTIL_HELLO
        self.greeted = False
        self.last = -1
        self.open = {}

    def send(self, frame):
        self.outgoing.put(session_pb2.SessionRequest(frames=[frame]))

    def run(self, requests):
        exchanges = []
        waiting = list(requests)
        while waiting or self.open:
            while waiting and len(self.open) < self.max_exchanges:
                self.last += 2
                exchange = Exchange(self.last, waiting.pop(0))
                exchange.credit = self.window
                exchanges.append(exchange)
                self.open[exchange.number] = exchange
            self.send_parts()
            if self.open:
                for frame in next(self.responses).frames:
                    self.receive(frame)
        self.outgoing.put(None)  # 20.10: the last exchange is closed
        for message in self.responses:
            for frame in message.frames:
                self.receive(frame)
        return [exchange.outcome() for exchange in exchanges]

    def send_parts(self):
        """20.6: a part of each in turn, as long as there is credit."""
        went = True
        while went:
            went = False
            for exchange in list(self.open.values()):
                if exchange.request_open and exchange.credit > 0 and self.credit > 0:
                    part = exchange.next_part()
                    exchange.credit -= cost(part)
                    self.credit -= cost(part)
                    self.send(session_pb2.ClientFrame(exchange=exchange.number, part=part))
                    exchange.sent(part)
                    went = True
                    self.forget(exchange)

    def receive(self, frame):
        if not self.greeted:
            if not frame.HasField("hello") or frame.hello.version != 1:
                raise Violation("no hello")
            self.greet(frame.hello)
        elif frame.exchange == 0:
            self.receive_of_session(frame)
        else:
            if frame.exchange > self.last or frame.exchange % 2 == 0:
                raise Violation("an exchange that was not opened")
            self.receive_of_exchange(frame)

    def greet(self, hello):
        self.greeted = True
        self.window = hello.window
        if hello.max_exchanges:
            self.max_exchanges = hello.max_exchanges
        for exchange in self.open.values():
            exchange.credit += self.window - WINDOW

    def receive_of_session(self, frame):
        self.credit += frame.credit
        if frame.HasField("ping") and not frame.ping.answer:
            answer = session_pb2.Ping(number=frame.ping.number, answer=True)
            self.send(session_pb2.ClientFrame(ping=answer))

    def receive_of_exchange(self, frame):
        exchange = self.open.get(frame.exchange)
        if frame.HasField("part"):
            self.pay_back(exchange, cost(frame.part))
        if exchange is None:
            return  # late
        if frame.HasField("part"):
            exchange.received(frame.part)
        exchange.credit += frame.credit
        if frame.stop:
            exchange.request_open = False
        if frame.HasField("reset"):
            exchange.error = frame.reset.error.cause
            exchange.request_open = exchange.response_open = False
        self.forget(exchange)

    def pay_back(self, exchange, paid):
        """20.5: at the latest at half of a window."""
        self.owed += paid
        if self.owed >= SESSION_CREDIT // 2:
            self.send(session_pb2.ClientFrame(credit=self.owed))
            self.owed = 0
        if exchange is None:
            return
        exchange.owed += paid
        if exchange.owed >= WINDOW // 2:
            self.send(session_pb2.ClientFrame(exchange=exchange.number, credit=exchange.owed))
            exchange.owed = 0

    def forget(self, exchange):
        if not exchange.request_open and not exchange.response_open:
            del self.open[exchange.number]


with grpc.insecure_channel(address) as channel:
    stub = service_pb2_grpc.HTTPServiceStub(channel)
    json.dump(Session(stub).run(json.load(sys.stdin)), sys.stdout)
