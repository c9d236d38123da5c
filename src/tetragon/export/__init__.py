"""Outputs that leave the agent without being asked: file, standard output, UDP, OTLP, webhook.

stage.py      Front: what every output does first (filters, aggregation, rate limit, encoding)
limit.py      RateLimiter: so many events a minute
every.py      Every: whether an interval is over
aggregate.py  Aggregator: equal events within a window become one
worker.py     Worker: a bounded queue and the thread behind it
file.py       FileSink: JSON lines to a file or standard output
logfile.py    LogFile: append, rotate, reopen, repair one file
backups.py    names, compression and removal of rotated files
udp.py        UdpSink: one event, one datagram
address.py    where datagrams go: parse, resolve, resolve again
datagram.py   DatagramSocket: many datagrams with one system call
shorten.py    make a JSON line fit into a datagram and stay an event
syslog.py     RFC 5424 framing
metadata.py   what the agent says about itself, as datagram and as log fields
webhook.py    WebhookSink: batches of lines by HTTP POST
otlp.py       OtlpSink: OpenTelemetry log records
"""
