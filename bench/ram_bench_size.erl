%% `make bench-size': what a table of many entries costs, on three nodes that are separate VMs over
%% plain loopback sockets, with files. It fills the table, restarts all nodes, overwrites entries
%% with few and with many snapshots, adds a fourth node, and compares memory with that of ets.
%%
%% All puts come from 100 processes on the node that leads at that moment. A figure that is slow is
%% printed beside what is wanted; only what fails ends the program with an error.
-module(ram_bench_size).

-export([main/0]).

-import(ram_bench_report, [say/2]).

-define(PROCESSES, 100).
-define(NODES, [1, 2, 3]).
-define(JOINING, 4).
-define(ETS_VM, 5).
-define(OVERWRITE_MS, 30000).
%% The phase with snapshots lasts longer when there were fewer until then; up to the maximum.
-define(SNAPSHOTS, 3).
-define(OVERWRITE_MS_MAX, 120000).
%% Log entries, not puts: many puts share one.
-define(SNAPSHOT_EVERY, 1000).
%% The size of the log makes a snapshot due all the same, when it is twice that of the data.
-define(FEW_SNAPSHOTS, 1 bsl 40).
%% A put may wait for what follows a snapshot: the log is cut, old files are removed.
-define(AFTERMATH_US, 100000).

%% @doc Arguments of the VM: -extra Entries Folder PlotFile.
-spec main() -> no_return().
main() ->
    [Entries, Folder, Plot] = init:get_plain_arguments(),
    try run(list_to_integer(Entries), Folder, Plot) of
        ok -> halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench-size failed: ~p~n", [{Class, Reason, Stack}]),
            halt(1)
    end.

run(Entries, Folder, Plot) when Entries >= 10 ->
    Run = ram_peers:start(length(?NODES), Folder, [], direct),
    try
        ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
        {Fill, Memory} = fill(Run, Entries, Plot),
        Restart = restart(Run, Entries, []),
        Steady = overwrites(Run, Entries),
        Join = join(Run, Entries),
        Rows = [Fill, restart_rows(Restart), Steady, Join, Memory],
        ram_bench_report:table(lists:append([ram_bench_report:machine() | Rows]))
    after
        ram_peers:stop(Run)
    end.

fill(Run, Entries, Plot) ->
    Leader = leader(Run),
    [Follower | _] = ?NODES -- [Leader],
    ok = on(Run, Leader, fill_log, []),
    Before = on(Run, Follower, settled, []),
    Step = min(100000, Entries div 10),
    say("filling ~b entries from ~b processes on the leader", [Entries, ?PROCESSES]),
    Watch = ram_bench_snapshots:watch([ram_peers:data_dir(Run, Leader)]),
    Marks = on(Run, Leader, fill, [Entries, Step, ?PROCESSES]),
    Snapshots = length(ram_bench_snapshots:stop(Watch)),
    Rates = rates(Step, 0, Marks),
    ok = ram_bench_report:plot(Plot, lists:zip([Step * I || I <- lists:seq(1, length(Rates))],
                                               Rates)),
    [say("  to ~8b  ~8b puts/s", [Step * I, round(Rate)])
     || {I, Rate} <- lists:zip(lists:seq(1, length(Rates)), Rates)],
    caught_up(Run, ?NODES, Entries),
    Growth = ram_bench_load:growth(Before, on(Run, Follower, settled, [])),
    {fill_rows(Entries, Step, Marks, Rates) ++
         [row("snapshots the leader took during the fill", "~b", [Snapshots], "")] ++
         disk_rows("after the fill", Run, Leader, Entries),
     memory_rows(Run, Entries, Growth)}.

rates(_Step, _Before, []) -> [];
rates(Step, Before, [Mark | Marks]) -> [Step * 1.0e6 / (Mark - Before) | rates(Step, Mark, Marks)].

fill_rows(Entries, Step, Marks, Rates) ->
    Ratio = lists:last(Rates) / hd(Rates),
    [row("entries", "~b", [Entries], ""),
     row("fill, puts/s", "~b", [round(length(Marks) * Step * 1.0e6 / lists:last(Marks))], ""),
     row("fill, puts/s, first and last ~b", [Step], "~b, ~b",
         [round(hd(Rates)), round(lists:last(Rates))], ""),
     row("fill, last to first", "~.2f", [Ratio], "limit: 0.80 to 1.20")].

memory_rows(Run, Entries, Growth) ->
    say("filling an ets table", []),
    _ = ram_peers:start_node(Run, ?ETS_VM),
    EtsGrowth = on(Run, ?ETS_VM, ets_growth, [Entries]),
    ok = ram_peers:halt(Run, ?ETS_VM),
    lists:append([memory_rows(What, Entries, maps:get(What, Growth), maps:get(What, EtsGrowth))
                  || What <- [allocated, resident]]).

memory_rows(What, Entries, Growth, EtsGrowth) ->
    [row("~w for the entries, bytes/entry: follower, ets table", [What], "~.1f, ~.1f",
         [Growth / Entries, EtsGrowth / Entries], ""),
     row("~w for the entries, follower to ets", [What], "~.2f", [Growth / EtsGrowth],
         case What of allocated -> "limit: 1.00"; resident -> "limit: 1.50, aim: below 1" end)].

%% The VMs are stopped at once, without a word to the application.
restart(Run, Entries, Env) ->
    Stopped = in_parallel(?NODES, fun(I) -> ram_peers:halt(Run, I) end),
    [ok] = lists:usort(Stopped),
    lists:foreach(fun(I) -> ram_peers:start_node(Run, I, Env) end, ?NODES),
    say("restart of all nodes", []),
    Answers = in_parallel(?NODES, fun(I) -> on(Run, I, first_answers, [I]) end),
    caught_up(Run, ?NODES, Entries),
    Answers.

restart_rows(Answers) ->
    Last = fun(What) -> lists:max([maps:get(What, Answer) || Answer <- Answers]) / 1.0e6 end,
    [row("restart: until the last node's start returned, s", "~.2f", [Last(start)], ""),
     row("restart: until the last node's first put, s", "~.2f", [Last(put)], "limit: 3.00"),
     row("restart: until the last node's first get, s", "~.2f", [Last(get)], "limit: 3.00")].

overwrites(Run, Entries) ->
    _ = restart(Run, Entries, [{snapshot_every, ?FEW_SNAPSHOTS}]),
    {Without, Few} = overwrite(Run, Entries, 0),
    _ = restart(Run, Entries, [{snapshot_every, ?SNAPSHOT_EVERY}]),
    {With, Seen} = overwrite(Run, Entries, ?SNAPSHOTS),
    overwrite_rows("few snapshots", Without) ++
        [row("few snapshots: taken, on ~b nodes together", [length(?NODES)], "~b", [length(Few)],
             "")] ++
        overwrite_rows("snapshots", With) ++
        snapshot_rows(With, Seen) ++ disk_rows("after snapshots", Run, leader(Run), Entries).

overwrite(Run, Entries, Snapshots) ->
    say("overwriting, until ~b snapshots or more were taken", [Snapshots]),
    Leader = leader(Run),
    Watch = ram_bench_snapshots:watch([ram_peers:data_dir(Run, I) || I <- ?NODES]),
    Deadline = erlang:monotonic_time(millisecond) + ?OVERWRITE_MS_MAX,
    Stopper = spawn_link(fun() ->
                                 receive after ?OVERWRITE_MS -> ok end,
                                 wait_for(Snapshots, Watch, Deadline),
                                 ok = on(Run, Leader, stop_overwriting, [])
                         end),
    Latency = on(Run, Leader, overwrite, [Entries, ?PROCESSES]),
    unlink(Stopper),
    {Latency, ram_bench_snapshots:stop(Watch)}.

wait_for(Snapshots, Watch, Deadline) ->
    case ram_bench_snapshots:count(Watch) >= Snapshots
        orelse erlang:monotonic_time(millisecond) > Deadline of
        true -> ok;
        false -> receive after 200 -> wait_for(Snapshots, Watch, Deadline) end
    end.

overwrite_rows(What, #{puts := Puts, us := Us, p50 := P50, p99 := P99, p999 := P999,
                       longest := Longest}) ->
    [row(["overwrite, ", What, ", puts/s"], "~b", [round(Puts * 1.0e6 / Us)], ""),
     row(["overwrite, ", What, ", p50 p99 p99.9 longest, ms"], "~.1f ~.1f ~.1f ~.1f",
         [Time / 1000 || Time <- [P50, P99, P999, Longest]], "")].

snapshot_rows(#{slow := Slow}, Seen) ->
    During = fun({Begin, Took}) ->
                     lists:any(fun({_, From, To}) ->
                                       Begin < To + ?AFTERMATH_US andalso Begin + Took > From
                               end, Seen)
             end,
    {Inside, Outside} = lists:partition(During, Slow),
    Longest = fun(Puts) -> lists:max([0 | [Took || {_, Took} <- Puts]]) / 1000 end,
    Lengths = [(To - From) / 1.0e6 || {_, From, To} <- Seen],
    [row("snapshots taken, on ~b nodes together", [length(?NODES)], "~b", [length(Seen)], ""),
     row("writing a snapshot, longest, s", "~.2f", [lists:max([0.0 | Lengths])], ""),
     row("longest put while any node wrote one, ms", "~.1f", [Longest(Inside)], "limit: 50.0"),
     row("longest put of the rest, ms", "~.1f", [Longest(Outside)], "")].

disk_rows(When, Run, I, Entries) ->
    #{log := Log, snapshot := Snapshot} =
        ram_bench_snapshots:disk_bytes(ram_peers:data_dir(Run, I)),
    [row(["disk ", When, ", log and snapshot, MB"], "~.1f, ~.1f", [Log / 1.0e6, Snapshot / 1.0e6],
         io_lib:format("~b bytes/entry", [(Log + Snapshot) div Entries]))].

join(Run, Entries) ->
    Node = ram_peers:start_node(Run, ?JOINING),
    say("a fourth node joins", []),
    Begin = erlang:monotonic_time(microsecond),
    ok = ram_peers:call(Run, 1, ram, add_node, [Node], infinity),
    Took = erlang:monotonic_time(microsecond) - Begin,
    caught_up(Run, [?JOINING], Entries),
    [row("join of a fourth node, s", "~.2f", [Took / 1.0e6], "limit: 5.00")].

leader(Run) ->
    Leader = ram_peers:call(Run, 1, leader, []),
    [I] = [I || I <- ?NODES, ram_peers:node(Run, I) =:= Leader],
    I.

caught_up(Run, Indexes, Entries) ->
    ram_peers:eventually(fun() ->
                                 lists:all(fun(I) -> entries(Run, I) =:= Entries end, Indexes)
                         end).

entries(Run, I) ->
    maps:get(entries, ram_peers:call(Run, I, status, [])).

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ram_bench_load, Function, Arguments, infinity).

in_parallel(Indexes, Fun) ->
    Workers = [spawn_monitor(fun() -> exit({done, Fun(I)}) end) || I <- Indexes],
    [receive {'DOWN', Monitor, process, Pid, {done, Result}} -> Result;
             {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
     end || {Pid, Monitor} <- Workers].

row(Label, Format, Arguments, Wanted) ->
    {Label, io_lib:format(Format, Arguments), Wanted}.

row(Label, LabelArguments, Format, Arguments, Wanted) ->
    row(io_lib:format(Label, LabelArguments), Format, Arguments, Wanted).
