package report

const intro = `# Speed

This is written by ` + "`task bench`" + `, which brings exchanges to one application by Culvert and by its peers, and checks
every answer: status, length and bytes, and that the exchange came by the RPC that was meant. Client, server and what
is between them are in one process and talk over TCP on the loopback interface; nginx alone is a process of its own.
Each cell is measured in %s of %s, all cells in turn. The numbers are medians of the rounds, the ratios medians of the
ratios within a round.

Times are of the machine that ran it, and say something only beside each other. To see them on yours:

` + "```sh" + `
task bench                                              # everything, about ten minutes; writes this file
task bench -- -quick                                    # the same in less than two, less exactly
task bench -- -run '^small/64/(session|h2c)$' -rounds 9 # some cells only; writes nothing
` + "```" + `

What is printed to standard output is for ` + "`task bench:compare -- old.txt new.txt`" + `.
`

const targetsText = `Throughput is how many times as much gets through; latency and cost are how many times as long it takes. The
small exchange is a GET with three fields and an answer of 11 bytes. CPU time, and what is
counted, are those of both ends together, and of the caller, who makes the request; what else runs on the machine
disturbs CPU time less than the other.`

const smallText = `![Time for each small exchange against exchanges in flight](` + concurrencyFile + `)

The time that passed, divided by the exchanges.`

const costText = `The time that passed divided by the exchanges, the CPU time of both ends, and what both allocate for an
exchange, with 1 and with 64 in flight.`

const sizesText = `![Time for each exchange against the length of its response](` + sizeFile + `)

With %d exchanges in flight. dskit's messages are whole bodies; its limit of 4 MiB is raised here.`

const websocketText = "The round trip of one small message on a WebSocket that is open, with coder/websocket at both ends."

const idleText = `Exchanges whose response has begun and does not end: heap and stacks of both ends after a garbage collection,
and goroutines, the handler's own among them. They come from clients with 500 exchanges each, within what a handler
allows a connection by default.`
