"""The gRPC API: protobuf messages, events as frames, server, streams, client.

proto/             our .proto files, the source of the two generated files below
descriptors.binpb  what protoc makes of them       messages.pyi  their types
messages.py        message classes by name         books.py      the loss ledger in GetHealth
json.py            message to JSON                 parse.py      JSON to message
encode.py          Event to GetEventsResponse bytes
stream.py          GrpcSink: events to open GetEvents streams
wanted.py          what a stream wants             filters.py, fields.py   requests to that
service.py         the RPCs                        health.py     the health service
wire.py            gRPC's framing and status       http2.py      connections and calls
listen.py          addresses and sockets           tls.py        certificates
server.py          GrpcServer: the thread that runs it all
client.py          Channel: calls to an agent, for command lines
"""
