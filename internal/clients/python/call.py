"""Makes RPCs with grpcio: those that stdin says, with messages in JSON, and prints
how they went. Arguments: the server's address and the folder of the generated
code."""

import base64
import json
import sys

import grpc
from google.protobuf import json_format

address, generated = sys.argv[1:]
sys.path.insert(0, generated)

from culvert.v1 import message_pb2, service_pb2_grpc  # noqa: E402

METHODS = {
    "Call": (message_pb2.HTTPRequest, False, False),
    "Upload": (message_pb2.RequestFrame, True, False),
    "Download": (message_pb2.RequestFrame, False, True),
    "Exchange": (message_pb2.RequestFrame, True, True),
}


def call(stub, name, messages):
    kind, request_streams, response_streams = METHODS[name]
    inputs = [json_format.ParseDict(message, kind()) for message in messages]
    request = iter(inputs) if request_streams else inputs[0]
    try:
        response = getattr(stub, name)(request, timeout=60)
        outputs = list(response) if response_streams else [response]
    except grpc.RpcError as error:
        metadata = dict(error.trailing_metadata() or ())
        status = metadata.get("grpc-status-details-bin", b"")
        return {
            "code": error.code().value[0],
            "message": error.details(),
            "status": base64.b64encode(status).decode(),
        }
    return {"messages": [json_format.MessageToDict(output) for output in outputs]}


with grpc.insecure_channel(address) as channel:
    stub = service_pb2_grpc.HTTPServiceStub(channel)
    replies = [call(stub, each["method"], each["messages"]) for each in json.load(sys.stdin)]
json.dump(replies, sys.stdout)
