//! The exact `--help` of the program and of each command.

#![allow(clippy::too_many_lines, reason = "there are many commands")]

use super::{DIRECTORY, said};
use crate::support::process::Setup;

#[test]
fn help_is_there_for_the_program_and_each_command() {
    let setup = Setup::new(DIRECTORY);
    let help = |command: &[&str]| said(&setup.run(&[command, &["--help"]].concat()));
    insta::assert_snapshot!(help(&[]), @r#"
Takes webhooks and lands them in a data lake: a 2xx is durable, and in the lake exactly once

Usage: lakehook [OPTIONS] <COMMAND>

Commands:
  serve        Run the service: webhook, polls, batches, lake
  poll         Pull entities from the configured REST APIs, once
  call         Send rows of the outboxes to their APIs, once, and store the answers
  files        Take what is new in the configured inboxes, once
  polls        See and move what polls remember between their runs
  demo         See it work, with no set-up: a sample system, the service and a local lake in one
               process
  upstream     Run only the sample system that the demo uses
  check        Validate configuration and schemas, reach the lake, and say what is wrong
  init         Write a configuration with comments, or propose a section of it
  config       Show the settings in force, and where each of them comes from
  completions  Print the completions of a shell: bash, zsh, fish, elvish or powershell
  man          Print the manual page, or write one for each command
  sql          Print the views and tables that make the lake queryable
  schema       Print the columns found in records of a poll or of files, as a JSON Schema to edit
  audit        Prove that everything acknowledged is in the lake exactly once
  find         Say what became of an event: by its id, that of its provider, or that of its request
  erase        Erase rows from the lake, so that the audit goes on adding up
  retain       Remove whole days and old runs from the lake, so that the audit goes on adding up
  torture      Kill, pause, starve and fill real servers here, and see whether the promise holds
  quarantine   See what was refused, and why; bring it in once it is valid
  hook         Try the webhook of a provider
  wal          Look into a write-ahead log, or help one that cannot go on
  health       Ask a running service whether it is ready
  help         Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
  -V, --version        Print version
exit code 0
"#);
    insta::assert_snapshot!(help(&["serve"]), @r#"
Run the service: webhook, polls, batches, lake

Usage: lakehook serve [OPTIONS]

Options:
  -c, --config <FILE>     The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                          is there]
      --new-lake          The lake is another one than at the last start, and that is meant
      --take-over         Take a log in a bucket back from the process that has taken it from this
                          service
      --listen <ADDRESS>  The address to listen on [default: `server.listen`]
      --contract <KIND>   What events must look like: typed, or open for any JSON [default:
                          `events.contract`]
      --lake <URL>        The lake: a directory, or s3://BUCKET/PREFIX [default: `lake.url`]
  -h, --help              Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["poll"]), @r#"
Pull entities from the configured REST APIs, once

Usage: lakehook poll [OPTIONS] [NAME]...

Arguments:
  [NAME]...  The polls to run [default: all]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --dry-run        Fetch and validate, and write nothing
      --force          Write a snapshot even if nothing has changed
      --accept         Take the records as they are, whatever the guards say
      --from <MARK>    Read again what is new since this mark or time, of one poll, without moving
                       its mark
      --to <TIME>      End of what is read again, for a poll with a window [default: now]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["call"]), @r#"
Send rows of the outboxes to their APIs, once, and store the answers

Usage: lakehook call [OPTIONS] [NAME]...

Arguments:
  [NAME]...  The calls to run [default: all]

Options:
  -c, --config <FILE>       The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                            is there]
      --dry-run             Show the requests that would be made, and send nothing
      --since <TIME>        Only rows with a time from this on
      --until <TIME>        Only rows with a time before this
      --max-calls <NUMBER>  The most requests of each call [default: `max_calls`]
      --accept              Store the records of answers whatever the guards say
  -h, --help                Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["files"]), @r#"
Take what is new in the configured inboxes, once

Usage: lakehook files [OPTIONS] [NAME]...

Arguments:
  [NAME]...  The streams whose inboxes are looked into [default: all]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --dry-run        Read and validate every file that is there, and write nothing
      --follow         Go on looking, as the configuration says, until it is stopped
      --accept         Take files as they are, whatever the guards say, and try those again that
                       were refused
      --probe <FILE>   Read the beginning of a file, and print a section and a schema to edit
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["sql"]), @r#"
Print the views and tables that make the lake queryable

Usage: lakehook sql [OPTIONS] <ENGINE>

Arguments:
  <ENGINE>
          The engine

          Possible values:
          - duckdb:     DuckDB 1.3 or later
          - athena:     Amazon Athena, engine version 3
          - trino:      Trino with the Hive connector
          - dictionary: No engine: the columns and what they mean, as a Markdown page

Options:
  -c, --config <FILE>
          The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is there]

      --no-secret
          Say nothing of credentials; for a session that has a secret already

  -h, --help
          Print help (see a summary with '-h')
exit code 0
"#);
    insta::assert_snapshot!(help(&["schema"]), @r#"
Print the columns found in records of a poll or of files, as a JSON Schema to edit

Usage: lakehook schema [OPTIONS] <NAME>

Arguments:
  <NAME>  The poll, or the stream of files

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["audit"]), @r#"
Prove that everything acknowledged is in the lake exactly once

Usage: lakehook audit [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --deep           Read every object, and hold its rows against what it says
      --wal <DIR>      A log's directory, to account for what is not in the lake yet; may be given
                       again
      --json           Print the result as JSON
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["find"]), @r#"
Say what became of an event: by its id, that of its provider, or that of its request

Usage: lakehook find [OPTIONS] <ID>

Arguments:
  <ID>  The id of the event, the id that its provider gave it, or the `X-Request-Id` of an answer

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --lake-only      Ask the lake alone, and not the service that has the log
      --whole          Read every object that may have it, however many bytes these are
      --json           Print the result as JSON
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["erase"]), @r#"
Erase rows from the lake, so that the audit goes on adding up

Usage: lakehook erase [OPTIONS] --stream <NAME> --where <FIELD=VALUE>

Options:
  -c, --config <FILE>        The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if
                             it is there]
      --stream <NAME>        The stream: `events`, or the name of a poll; its quarantine is included
      --where <FIELD=VALUE>  Which rows: a field, or a path such as `properties.email`, and its
                             value
      --dry-run              Say what would be erased, and change nothing
      --versions             In a bucket with versioning, delete the old versions of the objects too
      --json                 Print the result as JSON
  -h, --help                 Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["torture"]), @r#"
Kill, pause, starve and fill real servers here, and see whether the promise holds

Usage: lakehook torture [OPTIONS]

Options:
  -c, --config <FILE>    The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                         there]
      --duration <TIME>  How long faults are made; the end takes some seconds more [default: 60s]
      --seed <N>         Makes the same schedule of faults and the same bodies again; when they meet
                         differs from run to run [default: a random one]
      --dir <DIR>        Where all of it happens: on the disk that is to be put to the test. Must be
                         empty, or not there; is removed if all is well [default:
                         ./lakehook-torture]
      --nodes <N>        Run so many nodes of a cluster, and lose, pause and stop the owner of their
                         log
      --replica <URL>    Where the nodes keep their log, as `wal.replica` says it:
                         s3://BUCKET/PREFIX, or nats://HOST:PORT,… A folder or a stream of its own
                         is made there, and is removed if all is well
      --lake <URL>       Where the lake of the nodes is, if their log is in NATS: s3://BUCKET/PREFIX
      --endpoint <URL>   The address of the S3 server, if it is not AWS, such as
                         http://localhost:4566
      --json             Print the report as JSON
  -h, --help             Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["demo"]), @r#"
See it work, with no set-up: a sample system, the service and a local lake in one process

Usage: lakehook demo [OPTIONS]

Options:
  -c, --config <FILE>    The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                         there]
      --duration <TIME>  Send for this time, and then end [default: 30s, and on a terminal go on
                         serving until Ctrl-C]
      --dir <DIR>        Where the lake and the log go; what an earlier demo left there is removed
                         [default: ./lakehook-demo]
      --rate <N>         Events a second, about [default: 100]
  -h, --help             Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["upstream"]), @r#"
Run only the sample system that the demo uses

Usage: lakehook upstream [OPTIONS]

Options:
  -c, --config <FILE>     The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                          is there]
      --listen <ADDRESS>  Where to listen [default: 127.0.0.1:9090]
      --webhook <URL>     Push events to this webhook, such as http://127.0.0.1:4000/webhook/events
      --rate <N>          Events a second, instead of 1-10 every 2-5 seconds
      --seed <SEED>       Users and content are the same for the same seed [default: 1]
  -h, --help              Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["check"]), @r#"
Validate configuration and schemas, reach the lake, and say what is wrong

Usage: lakehook check [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --schema         Only print the JSON Schema of an event, as this configuration accepts it
      --openapi        Only print the description of the HTTP interface (OpenAPI 3.1), as this
                       configuration serves it
      --for <ENGINE>   Also say whether this engine can read the lake: spark, athena, bigquery or
                       snowflake
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["init"]), @r#"
Write a configuration with comments, or propose a section of it

Usage: lakehook init [OPTIONS]
       lakehook init <COMMAND>

Commands:
  poll  Read one page of a REST API, and print how it could be polled
  help  Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>     The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                          is there]
      --lake <URL>        The lake: a directory, or s3://BUCKET/PREFIX
      --listen <ADDRESS>  The address to listen on; beyond this machine it needs tokens
      --contract <KIND>   What events must look like: typed, or open for any JSON [possible values:
                          typed, open]
      --format <FORMAT>   The format of objects: ndjson.zst, ndjson.gz, ndjson or parquet
      --hook <PROVIDER>   A provider that sends webhooks, such as github; may be given again
      --all               Every section that there is, as comments
      --print             Print it instead
  -h, --help              Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["init", "poll"]), @r#"
Read one page of a REST API, and print how it could be polled

Usage: lakehook init poll [OPTIONS] <URL>

Arguments:
  <URL>  The URL of the first page, with the parameters that it needs

Options:
  -c, --config <FILE>         The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if
                              it is there]
      --header <NAME: VALUE>  A header of the request, such as `X-Team: data`; the value of a secret
                              one is not printed
      --token-file <FILE>     A file with a bearer token
      --name <NAME>           The name of the poll [default: the last word of the URL's path]
      --write                 Append the section to the configuration, and write the schema to
                              schemas/NAME.json beside it
      --out <FILE>            The configuration to append to [default: the one in force, else
                              ./lakehook.toml]
  -h, --help                  Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["retain"]), @r#"
Remove whole days and old runs from the lake, so that the audit goes on adding up

Usage: lakehook retain [OPTIONS] --older-than <AGE>

Options:
  -c, --config <FILE>     The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                          is there]
      --older-than <AGE>  Remove days that ended this long ago, such as `400d`; at least `1d`
      --dry-run           Say what would be removed, and change nothing
      --json              Print the result as JSON
  -h, --help              Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["quarantine"]), @r#"
See what was refused, and why; bring it in once it is valid

Usage: lakehook quarantine [OPTIONS] <COMMAND>

Commands:
  list    What was refused, grouped by reason, rule and place
  show    The rows with their errors and what was refused
  replay  Judge it again, by the schemas of today, and store what is valid now
  help    Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["quarantine", "list"]), @r#"
What was refused, grouped by reason, rule and place

Usage: lakehook quarantine list [OPTIONS]

Options:
  -c, --config <FILE>       The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                            is there]
      --stream <NAME>       Only what was meant for this stream
      --reason <REASON>     Only for this reason: `invalid_event`, `id_conflict`, `refused_request`
                            or `invalid_record`
      --code <RULE>         Only with an error of this rule
      --since <YYYY-MM-DD>  Only what was received on this day (UTC) or later
      --until <YYYY-MM-DD>  Only what was received on this day (UTC) or before
      --all                 Count what was replayed, too
      --json                Print the groups as JSON
  -h, --help                Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["quarantine", "show"]), @r#"
The rows with their errors and what was refused

Usage: lakehook quarantine show [OPTIONS]

Options:
  -c, --config <FILE>       The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                            is there]
      --stream <NAME>       Only what was meant for this stream
      --reason <REASON>     Only for this reason: `invalid_event`, `id_conflict`, `refused_request`
                            or `invalid_record`
      --code <RULE>         Only with an error of this rule
      --since <YYYY-MM-DD>  Only what was received on this day (UTC) or later
      --until <YYYY-MM-DD>  Only what was received on this day (UTC) or before
      --lsn <LSN>           Only the row with this LSN
      --key <KEY>           Only rows of this object
      --limit <ROWS>        Show at most this many rows [default: 20]
      --json                Print the rows as they are, one JSON object a line
      --raw                 Print the bytes that were refused, of one row; fails if they were cut
  -h, --help                Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["quarantine", "replay"]), @r#"
Judge it again, by the schemas of today, and store what is valid now

Usage: lakehook quarantine replay [OPTIONS]

Options:
  -c, --config <FILE>       The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                            is there]
      --stream <NAME>       Only what was meant for this stream
      --reason <REASON>     Only for this reason: `invalid_event`, `id_conflict`, `refused_request`
                            or `invalid_record`
      --code <RULE>         Only with an error of this rule
      --since <YYYY-MM-DD>  Only what was received on this day (UTC) or later
      --until <YYYY-MM-DD>  Only what was received on this day (UTC) or before
      --lsn <LSN>           Only the row with this LSN
      --key <KEY>           Only rows of this object
      --other-nodes         Take what other nodes refused, too; an event that got in there since is
                            then stored a second time
      --dry-run             Judge, and write nothing
      --json                Print the result as JSON
  -h, --help                Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["hook"]), @r#"
Try the webhook of a provider

Usage: lakehook hook [OPTIONS] <COMMAND>

Commands:
  sign  Read a body from stdin, and print a curl that sends it as the provider would sign it
  help  Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["hook", "sign"]), @r#"
Read a body from stdin, and print a curl that sends it as the provider would sign it

Usage: lakehook hook sign [OPTIONS] <NAME>

Arguments:
  <NAME>  The hook: the NAME of its section [hook.NAME]

Options:
  -c, --config <FILE>        The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if
                             it is there]
      --content-type <TYPE>  The media type of the body [default: application/json]
      --id <ID>              The id of the delivery, where it is signed [default: msg_1]
  -h, --help                 Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal"]), @r#"
Look into a write-ahead log, or help one that cannot go on

Usage: lakehook wal [OPTIONS] <COMMAND>

Commands:
  info    What the log holds
  verify  Read everything and check it; exit code 1 if anything is wrong
  repair  Cut damage out: keep every row that can be read, say which are lost, and set the old files
          aside
  adopt   Give a copied or restored log a node id of its own, so that it can go on beside the other
          one
  move    Bring the logs from this disk into what `wal.replica` names, or back
  cost    What a log needs and costs a month on a disk, in a bucket and in NATS, by rate and number
          of nodes
  help    Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "info"]), @r#"
What the log holds

Usage: lakehook wal info [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --dir <DIR>      The log's directory [default: `wal.dir` of the configuration]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "verify"]), @r#"
Read everything and check it; exit code 1 if anything is wrong

Usage: lakehook wal verify [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --dir <DIR>      The log's directory [default: `wal.dir` of the configuration]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "repair"]), @r#"
Cut damage out: keep every row that can be read, say which are lost, and set the old files aside

Usage: lakehook wal repair [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --log <LOG>      Which of the two logs: that in `wal.dir`, or that in `polls.dir` [default:
                       events] [possible values: events, polls]
      --dir <DIR>      The log's directory [default: that of the configuration]
      --dry-run        Say what would be done, and change nothing
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "adopt"]), @r#"
Give a copied or restored log a node id of its own, so that it can go on beside the other one

Usage: lakehook wal adopt [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --log <LOG>      Which of the two logs: that in `wal.dir`, or that in `polls.dir` [default:
                       events] [possible values: events, polls]
      --dir <DIR>      The log's directory [default: that of the configuration]
      --dry-run        Say what would be done, and change nothing
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "move"]), @r#"
Bring the logs from this disk into what `wal.replica` names, or back

Usage: lakehook wal move [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --to-disk        Back from the replica onto this disk
      --log <LOG>      Only one of the two logs [default: both] [possible values: events, polls]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "cost"]), @r#"
What a log needs and costs a month on a disk, in a bucket and in NATS, by rate and number of nodes

Usage: lakehook wal cost [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --json           Print assumptions and results as JSON
  -h, --help           Print help

What comes in:
      --rate <N>                Events a second, of all nodes; may be given again [default: 1000,
                                100000 and 10000000]
      --nodes <N>               Nodes, each of which takes its share of the requests; may be given
                                again [default: 1, 10 and 100]
      --events-per-request <N>  Events of a request [default: 100]
      --event-bytes <N>         Bytes of an event as JSON [default: 500]
      --ratio <N>               How many times smaller rows become where a frame has 16 KiB of them
                                [default: 6]

What a node can do:
      --cores <N>         Processors of a node [default: 8]
      --event-micros <N>  Microseconds of a processor for each event [default: 2]
      --frame-mib <N>     Most MiB of rows in a frame [default: 4]
      --ship-seconds <N>  Seconds until rows are in the lake, and leave the log [default: 300]

disk: a volume on each node:
      --disk-millis <N>  Milliseconds of a sync [default: 1]
      --disk-mib <N>     MiB that are written in a second [default: 125]
      --disk-price <N>   Dollars a month for a volume [default: 2]

s3: a bucket:
      --s3-interval-millis <N>  Milliseconds between two PUTs of a log: `wal.replica_interval`
                                [default: 250]
      --s3-millis <N>           Milliseconds of a PUT [default: 150]
      --s3-mib <N>              MiB that one PUT carries in a second [default: 50]
      --s3-put-price <N>        Dollars for a thousand PUTs [default: 0.005]
      --s3-gb-price <N>         Dollars a month for a GB that is stored [default: 0.023]

nats: clusters of three servers that sync before they answer:
      --nats-millis <N>       Milliseconds of an append [default: 10]
      --nats-mib <N>          MiB that one append carries in a second [default: 24]
      --nats-cluster-mib <N>  MiB that a cluster of three servers takes in a second [default: 50]
      --nats-price <N>        Dollars a month for a server [default: 150]
      --zone-gb-price <N>     Dollars for a GB from one zone to another [default: 0.02]
exit code 0
"#);
    insta::assert_snapshot!(help(&["health"]), @r#"
Ask a running service whether it is ready

Usage: lakehook health [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --url <URL>      The service [default: `server.listen` of the configuration]
  -h, --help           Print help
exit code 0
"#);
}
