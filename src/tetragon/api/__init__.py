"""The gRPC API: protobuf messages, events as frames, server, streams.

proto/             our .proto files, the source of the two generated files below
descriptors.binpb  what protoc makes of them       messages.pyi  their types
messages.py        message classes by name         text.py       message to and from JSON
encode.py          Event to GetEventsResponse bytes
stream.py          GrpcSink: events to open GetEvents streams
request.py         GetEventsRequest to the filter of its stream
service.py         the RPCs                        health.py     the health service
listen.py          addresses and sockets           tls.py        certificates
server.py          GrpcServer: the thread that runs it all
"""
