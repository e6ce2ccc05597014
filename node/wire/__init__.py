"""What reaches into pynetdicom, in both directions: these are the only files that may.

Associations that we accept: `listener` takes connections; `reactor` gives each association
classes of ours as it opens, which read (`sockets`, `request`, `messages`), accept (`acceptor`) and
serve it (`sinks`, `waiting`, `response`); `notification` reports on one that is open. What is
accepted and where data sets go is the receiver's to say (`callbacks`).

Associations that we request: `requestor` makes one ready and exchanges messages over it; `pacing`
bounds what its peer may cost.

`internals` lists what is used of pynetdicom's inside, name by name.
"""
