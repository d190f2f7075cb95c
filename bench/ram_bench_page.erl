%% What `make bench' tells: a line for each measurement, the tables at the end, and the same as a
%% page in Markdown with the chart beside it.
-module(ram_bench_page).

-export([line/1, write/4]).

-import(ram_bench_report, [say/2]).

-type row() :: [iodata()].

%% @doc One measurement in words.
-spec line(ram_bench:measured()) -> iodata().
line(#{system := System, rate := Rate, p50 := P50, p99 := P99, p999 := P999, cpu_us := Cpu}
     = Measured) ->
    io_lib:format("~-50ts ~10b/s  p50 ~ts  p99 ~ts  p99.9 ~ts us  CPU ~ts us",
                  [[workload(Measured), ", ", name(System)], round(Rate), figure(P50), figure(P99),
                   figure(P999), figure(Cpu)]).

%% @doc Prints the tables; writes the chart, and the page unless its name is empty.
-spec write({[ram_bench:measured()], ram_bench:features()}, iodata(), file:filename(),
            file:filename()) -> ok.
write({Measured, Features}, Command, Chart, Page) ->
    Medians = ram_bench_verdict:medians(Measured),
    Verdicts = [[Label, Figure, Wanted, met(Met)]
                || {Label, Figure, Wanted, Met} <- ram_bench_verdict:verdicts(Medians, Features)],
    Machine = [{"command", Command, ""} | ram_bench_report:machine()],
    [print(Table) || Table <- [[figures_header() | figures(Medians)],
                               [verdicts_header() | Verdicts]]],
    ok = ram_bench_report:table(Machine),
    ok = ram_bench_chart:write(Chart, Medians),
    write_page(Page, Chart, Machine, Verdicts, Medians).

write_page("", _Chart, _Machine, _Verdicts, _Medians) ->
    ok;
write_page(Page, Chart, Machine, Verdicts, Medians) ->
    Beside = filename:rootname(Page) ++ ".svg",
    ok = filelib:ensure_dir(Page),
    {ok, _Bytes} = file:copy(Chart, Beside),
    Rows = [[Label, Figure] || {Label, Figure, _} <- Machine],
    ok = file:write_file(
           Page, unicode:characters_to_binary(
                   [introduction(), markdown(["measured", "with"], Rows),
                    "\n## What is wanted\n\n", markdown(verdicts_header(), Verdicts),
                    "\n![operations a second, by system](", filename:basename(Beside), ")\n",
                    "\nWhat each part of the fast path brings: [fast-path.md](fast-path.md).\n"
                    "\n## All figures\n\n", markdown(figures_header(), figures(Medians)),
                    paths(), markdown(["workload", "what the three members counted"],
                                      path_rows(Medians))])),
    say("page: ~ts, ~ts", [Page, Beside]).

introduction() ->
    "# Performance\n\n"
    "`ram` beside mnesia and ets, written by the command below; it can be run again anywhere.\n\n"
    "Three nodes, each a VM of its own, on the loopback of one machine. Workers on all three\n"
    "nodes at once call the system in a closed loop, keys are random of 10,000, and the same loop\n"
    "drives all systems. The systems take turns, on VMs of their own (mnesia and ets share three)\n"
    "that are all up and otherwise at rest; each figure is the median of the rounds. CPU is user\n"
    "and system time of the three VMs, for one operation, until they are at rest again.\n\n"
    "`ram disk` has a majority's fdatasync behind each write, and reads are linearizable, by\n"
    "lease; `ram quorum` is the same without leases: reads ask a quorum. mnesia has `ram_copies`\n"
    "on all three nodes: it never waits for a disk, and its dirty writes return before others\n"
    "have them. ets is a table of its own on each node: nothing is replicated.\n"
    "mix: 95 gets and 5 puts. counter: all workers update one key with update/3; update counter:\n"
    "the same with update_counter/2. put ttl: with a time to live. put many: of three keys; txn:\n"
    "three conditions, and puts of three keys. ordered get: of an ordered_set, in ets as well.\n"
    "hot get: reads of one key that a process on each node writes all the time.\n\n"
    "The rows of a million are of an ordered_set with so many entries, integers with 16 bytes\n"
    "each, in the same cluster: ram and ets take turns in one of its VMs, and memory is that of\n"
    "another node of it, beside a VM that has ets alone. While ram or ets folds 100 processes of\n"
    "the same VM put into the table of ram what is in it.\n\n"
    "The rows of watches are of the node that leads: 100 of its processes put, in turns, while\n"
    "10,000 others watch a key each, and without them; and one process watches a table into\n"
    "which ten of each node put a hundred keys at once, as fast as they can. While 100,000 keys\n"
    "expire at the same moment a process on each node puts, and its longest put is told. What a\n"
    "time to live takes is the memory of a million keys with one, less that of the same without,\n"
    "on a node that follows.\n\n"
    "Locks and names are compared in one process of a node that follows, by turns; 20 processes,\n"
    "on all three nodes, take a lock by turns that all of them wait for. A name is looked for on\n"
    "the node of its process, among 10,000. The names of the node that is killed are those of\n"
    "100,000 processes, in a cluster of its own whose `owner_timeout_ms` is 1500.\n\n".

paths() ->
    "\n## The path that ran\n\n"
    "What `ram:status/0` of the three nodes counted during the last round. A worker has one write\n"
    "under way, so a log entry holds at most one write of each, and a sync completes at most one\n"
    "of each: `make bench` fails when the log entries, the groups applied by any node, or the\n"
    "syncs of a majority are fewer than the acknowledged puts and updates take. A read that asks\n"
    "other nodes shows in the frames, and how reads were answered is counted. With storage memory\n"
    "the log is kept in the same way, but its syncs cost nothing and no byte reaches a disk.\n\n".

path_rows(Medians) ->
    [[[workload(M), ", ", name(System)], Path]
     || #{system := System, path := Path} = M <- Medians, Path =/= ""].

verdicts_header() ->
    ["in this run", "figure", "wanted", ""].

met(true) -> "met";
met(false) -> "NOT met";
met(told) -> "".

figures_header() ->
    ["workload", "system", "op/s", "p50 us", "p99 us", "p99.9 us", "CPU us/op",
     "op/s to mnesia transaction", "to mnesia dirty", "to ets"].

-spec figures([ram_bench:measured()]) -> [row()].
figures(Medians) ->
    [[workload(M), [name(System), [" (inexact)" || not Exact]], integer_to_list(round(Rate)),
      figure(P50), figure(P99), figure(P999), figure(Cpu)
      | [ratio(ram_bench_verdict:ratio(rate, M, Base, Medians))
         || Base <- [mnesia_transaction, mnesia_dirty, ets]]]
     || #{system := System, rate := Rate, p50 := P50, p99 := P99, p999 := P999, cpu_us := Cpu,
          exact := Exact} = M <- Medians].

ratio(none) -> "";
ratio(Ratio) when Ratio < 0.1 -> io_lib:format("~.4f", [Ratio]);
ratio(Ratio) -> io_lib:format("~.2f", [Ratio]).

figure(Number) when Number >= 100 -> integer_to_list(round(Number));
figure(Number) -> io_lib:format("~.2f", [Number]).

workload(#{operation := Operation, value := Value, workers := Workers}) ->
    [words(Operation), [[" ", kind(Value)] || Operation =/= counter,
                                              Operation =/= update_counter],
     ", ", integer_to_list(Workers), case Workers of 1 -> " worker"; _ -> " workers" end].

kind(16) -> "16 B";
kind(1024) -> "1 KiB";
kind(term) -> "term".

name(System) -> words(System).

words(Atom) -> string:replace(atom_to_list(Atom), "_", " ", all).

markdown(Header, Rows) ->
    Line = fun(Cells) -> ["| ", lists:join(" | ", Cells), " |\n"] end,
    [Line(Header), Line(["---" || _ <- Header]) | [Line(Row) || Row <- Rows]].

%% In columns as wide as they need.
-spec print([row()]) -> ok.
print([Header | _] = Rows) ->
    Widths = [lists:max([string:length(lists:nth(I, Row)) || Row <- Rows])
              || I <- lists:seq(1, length(Header))],
    say("", []),
    lists:foreach(fun(Row) ->
                          Padded = [string:pad(Cell, Width)
                                    || {Cell, Width} <- lists:zip(Row, Widths)],
                          say("~ts", [lists:join("  ", Padded)])
                  end, Rows).
