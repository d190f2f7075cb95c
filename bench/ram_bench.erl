%% `make bench': ram beside mnesia and ets, each on three nodes that are separate VMs on loopback,
%% called in a closed loop by workers on all three nodes at once (ram_bench_worker).
%%
%% The systems take turns within each workload, and all of it is done again each round; figures are
%% medians of rounds. Each cluster has VMs of its own, and all are up all the time: those that are
%% not measured do nothing but send heartbeats. mnesia and ets share their VMs. CPU is that of the
%% three VMs, until they are at rest again, so that what is done later for a write counts too.
%% A run whose path was cut short (ram_bench_path), whose counter is wrong, or in which any call
%% failed, ends with an error; a figure that misses its limit does not.
-module(ram_bench).

-export([main/0]).
-export_type([measured/0, features/0]).

-import(ram_bench_report, [say/2]).
-import(ram_bench_system, [is_ram/1]).

-type cell() :: #{operation := ram_bench_system:operation(), workers := pos_integer(),
                  value := ram_bench_system:value(), systems := [ram_bench_system:name()]}.
%% Times are microseconds; `disk_bytes' are of all nodes for one operation, and told of ram alone;
%% `path' is what its members counted.
-type measured() :: #{system := ram_bench_system:name(),
                      operation := ram_bench_system:operation(), value := ram_bench_system:value(),
                      workers := pos_integer(), count := non_neg_integer(),
                      rate := float(), p50 := float(), p99 := float(), p999 := float(),
                      cpu_us := float(), disk_bytes := float(),
                      path := iodata(), exact := boolean()}.

%% What is measured of each, in this order.
-type features() :: [{ram_bench_verdict:feature(), map()}].

-define(NODES, [1, 2, 3]).
%% Until all workers have been started and wait for the signal.
-define(PREPARE_MS, 150).

%% @doc Arguments of the VM: -extra Rounds Seconds Folder ChartFile PageFile; the last may be "".
-spec main() -> no_return().
main() ->
    [Rounds, Seconds, Folder, Chart, Page] = init:get_plain_arguments(),
    try run(list_to_integer(Rounds), list_to_integer(Seconds), Folder) of
        {Measured, Features} ->
            Command = ["make bench ROUNDS=", Rounds, " SECONDS=", Seconds,
                       [[" OUT=", Page] || Page =/= ""]],
            ok = ram_bench_page:write({Measured, Features}, Command, Chart, Page),
            halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench FAILED: ~p~n", [{Class, Reason, Stack}]),
            halt(1)
    end.

-spec run(pos_integer(), pos_integer(), file:filename()) ->
          {[measured()], features()}.
run(Rounds, Seconds, Folder) when Rounds > 0, Seconds > 0 ->
    Begin = erlang:monotonic_time(second),
    Clusters = start(Folder),
    try
        Measured = [round(Clusters, Round, Rounds, Seconds) || Round <- lists:seq(1, Rounds)],
        {lists:append(Measured), features(maps:get(disk, Clusters), Rounds, Seconds)}
    after
        lists:foreach(fun ram_peers:stop/1, maps:values(Clusters)),
        say("took ~b s", [erlang:monotonic_time(second) - Begin])
    end.

%% What ram has and the others have not, in the cluster with files, when nothing else is measured
%% any more. A feature is a line here, a clause of ram_bench_verdict:feature/2, and words of
%% ram_bench_page. Those with little data come first: what the others leave behind slows writes down
%% for seconds.
-spec features(map(), pos_integer(), pos_integer()) -> features().
features(Run, Rounds, Seconds) ->
    [{locks, ram_bench_lock:run(Run, Rounds, Seconds)},
     {names, ram_bench_registry:run(Run, Rounds, Seconds)},
     {million, ram_bench_million:run(Run, Rounds)},
     {watches, ram_bench_watch:run(Run, Rounds, Seconds)},
     {expiry, ram_bench_expiry:run(Run, Rounds)}].

start(Folder) ->
    say("starting ram with storage disk, the same without leases, ram with storage memory, "
        "mnesia and ets", []),
    Others = ram_peers:start(length(?NODES), Folder, [], direct),
    lists:foreach(fun(I) -> ok = on(Others, I, ram_bench_system, start_local, []) end, ?NODES),
    Start = fun(Settings) -> ram_peers:start(length(?NODES), Folder, Settings, direct) end,
    Clusters = #{disk => Start([{storage, disk}]),
                 quorum => Start([{storage, disk}, {reads, quorum}]),
                 memory => Start([{storage, memory}]),
                 others => Others},
    [ok = on(maps:get(Cluster, Clusters), 1, ram_bench_system, start,
             [System, ram_peers:nodes(maps:get(Cluster, Clusters))])
     || {Cluster, System} <- [{disk, ram_disk}, {quorum, ram_quorum}, {memory, ram_memory},
                                {others, mnesia}]],
    Clusters.

cluster(ram_disk, #{disk := Run}) -> Run;
cluster(ram_quorum, #{quorum := Run}) -> Run;
cluster(ram_memory, #{memory := Run}) -> Run;
cluster(_System, #{others := Run}) -> Run.

round(Clusters, Round, Rounds, Seconds) ->
    lists:append([begin
                      fill(Clusters, Value),
                      [begin
                           Measured = measure(Clusters, Cell, System, Seconds),
                           progress(Round, Rounds, Measured),
                           Measured
                       end || Cell = #{systems := Systems} <- cells(Value), System <- Systems]
                  end || Value <- [16, 1024, term]]).

-spec cells(ram_bench_system:value()) -> [cell()].
cells(term) ->
    [#{operation => get, workers => 100, value => term,
       systems => [ram_disk, mnesia_dirty, ets]}];
cells(Value) ->
    All = [ram_disk, ram_memory, mnesia_dirty, mnesia_transaction, ets],
    Operations = [{put, All}, {get, All -- [ram_memory]}, {mix, All -- [ram_memory]}
                  | [{counter, All -- [ram_memory, ets]} || Value =:= 16]],
    Plan = [[{Operation, Workers,
              Systems ++ [ram_quorum || without_leases(Operation, Workers, Value)]}
             | beside(Operation, Workers, Value)]
            || {Operation, Systems} <- Operations, Workers <- [1, 100]],
    [#{operation => Operation, workers => Workers, value => Value, systems => Systems}
     || {Operation, Workers, Systems} <- lists:append(Plan)].

%% What is measured right after a workload, since it is compared with it, or with each other.
beside(put, 1, 16) ->
    [{put_ttl, 1, [ram_disk]}, {update_counter, 1, [ram_disk]}, {put, 10, [ram_disk]},
     {update_counter, 10, [ram_disk]}, {counter, 10, [ram_disk]}];
beside(put, 100, 16) ->
    [{put_ttl, 100, [ram_disk]}, {put_many, 100, [ram_disk]}, {txn, 100, [ram_disk]}];
beside(get, 100, 16) ->
    [{ordered_get, 100, [ram_disk, ets]}, {hot_get, 100, [ram_disk]}];
beside(_Operation, _Workers, _Value) ->
    [].

%% What leases cost a write, and what a read costs without.
without_leases(put, 1, 16) -> true;
without_leases(get, _Workers, 16) -> true;
without_leases(_Operation, _Workers, _Value) -> false.

%% So that each get finds a value, and one of the right size.
fill(Clusters, Value) ->
    [ok = on(cluster(System, Clusters), I, ram_bench_system, fill, [System, Value])
     || {System, Nodes} <- [{ram_disk, [1]}, {ram_quorum, [1]}, {mnesia_dirty, [1]},
                            {ets, ?NODES}], I <- Nodes],
    ok.

-spec measure(map(), cell(), ram_bench_system:name(), pos_integer()) -> measured().
measure(Clusters, #{operation := Operation, workers := Workers, value := Value}, System, Seconds) ->
    Run = cluster(System, Clusters),
    Before = state(Run, System),
    Job = #{system => System, operation => Operation, value => Value, workers => Workers,
            background => case Operation of hot_get -> hot_put; _ -> none end,
            seconds => Seconds, at_ms => os:system_time(millisecond) + ?PREPARE_MS},
    Results = in_parallel(fun(I) -> on(Run, I, ram_bench_worker, run, [Job]) end),
    Exact = counted_to(Run, System, Before, Results, Operation),
    After = state(Run, System),
    Measured = figures(Results, Before, After),
    Counted = maps:get(count, Measured),
    ok = whole_path(System, Operation, Counted, 3 * Workers, Before, After),
    maps:merge(Measured, #{system => System, operation => Operation, value => Value,
                           workers => Workers, exact => Exact,
                           path => path(System, Counted, Before, After)}).

%% What is read before and after a measurement, when the system is at rest.
state(Run, System) ->
    at_rest(Run, System),
    #{cpu_us => lists:sum([on(Run, I, ram_bench_worker, cpu_us, []) || I <- ?NODES]),
      counter => [on(Run, I, ram_bench_system, counter, [System]) || I <- ?NODES,
                                                                     System =/= ets],
      path => [on(Run, I, ram_bench_path, reading, []) || is_ram(System), I <- ?NODES]}.

at_rest(Run, System) ->
    Position = fun(I) -> on(Run, I, ram_bench_system, position, [System]) end,
    ram_peers:eventually(fun() ->
                                 case lists:usort([Position(I) || I <- ?NODES]) of
                                     [At] when is_integer(At) -> true;
                                     _ -> false
                                 end
                         end).

figures(Results, #{cpu_us := CpuBefore, path := Before}, #{cpu_us := CpuAfter, path := After}) ->
    Counted = ram_bench_buckets:merge([Of || #{counted := Of} <- Results]),
    Count = ram_bench_buckets:total(Counted),
    Us = fun(Native) -> erlang:convert_time_unit(Native, native, nanosecond) / 1000 end,
    Percentile = fun(Share) -> Us(ram_bench_buckets:percentile(Share, Counted)) end,
    #{count => Count, p50 => Percentile(0.5), p99 => Percentile(0.99), p999 => Percentile(0.999),
      rate => Count * 1.0e6 / Us(lists:max([Native || #{native := Native} <- Results])),
      cpu_us => (CpuAfter - CpuBefore) / Count,
      disk_bytes => ram_bench_path:disk_bytes(Before, After) / Count}.

%% Whether the counter shows every update that was answered, once, on every node. For ram it must;
%% mnesia's dirty counter is given some time and may then be wrong.
counted_to(Run, System, #{counter := [Before | _]}, Results, Operation)
  when Operation =:= counter; Operation =:= update_counter ->
    Count = lists:sum([ram_bench_buckets:total(Of) || #{counted := Of} <- Results]),
    Shown = fun() -> [on(Run, I, ram_bench_system, counter, [System]) || I <- ?NODES] end,
    Exact = fun() -> lists:usort(Shown()) =:= [Before + Count] end,
    try ram_peers:eventually(Exact, 5000) of
        ok -> true
    catch
        error:_ ->
            is_ram(System) andalso error({counter_is_wrong, Shown(), {wanted, Before + Count}}),
            say("~ts: the counter shows ~w instead of ~b", [System, Shown(), Before + Count]),
            false
    end;
counted_to(_Run, _System, _Before, _Results, _Operation) ->
    true.

whole_path(System, Operation, Count, Workers, #{path := Before}, #{path := After}) ->
    Storage = case System of ram_memory -> memory; _ -> disk end,
    Written = #{storage => Storage, writes => writes(Operation, Count), workers => Workers},
    case Before =:= [] orelse maps:get(writes, Written) =:= 0
        orelse ram_bench_path:check(Written, Before, After) of
        {short_cut, Why} -> error({short_cut, lists:flatten(Why)});
        _ -> ok
    end.

%% So many writes at least. Those of a mix are 5 of 100 by chance; half of that is certain enough.
writes(mix, Count) -> Count div 40;
writes(Operation, _Count) when Operation =:= get; Operation =:= hot_get;
                               Operation =:= ordered_get -> 0;
writes(_Write, Count) -> Count.

path(System, Count, #{path := Before}, #{path := After}) ->
    case is_ram(System) of
        true -> ram_bench_path:described(Count, Before, After);
        false -> ""
    end.

progress(Round, Rounds, #{path := Path} = Measured) ->
    say("round ~b/~b  ~ts", [Round, Rounds, ram_bench_page:line(Measured)]),
    Path =:= "" orelse say("            ~ts", [Path]).

on(Run, I, Module, Function, Arguments) ->
    ram_peers:call(Run, I, Module, Function, Arguments, infinity).

in_parallel(Fun) ->
    Workers = [spawn_monitor(fun() -> exit({done, Fun(I)}) end) || I <- ?NODES],
    [receive {'DOWN', Monitor, process, Pid, {done, Result}} -> Result;
             {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
     end || {Pid, Monitor} <- Workers].
