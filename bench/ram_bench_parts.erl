%% What one part of the library brings to an operation: `make bench-parts'. Two libraries, with the
%% part and without it, each in a VM of its own; a cluster of one that reads by lease.
%%
%% The two take turns, for some milliseconds each, so that whatever else the machine does meets
%% both. A turn is judged by the time that the threads of the VM were on a processor, which waiting
%% for one does not count; a ratio is that of two turns side by side, and the figure is the median
%% of the ratios, with its quartiles. ets, in the first of the VMs, takes turns too. Where memory lies
%% differs from one VM to the next, so what concerns that takes several runs.
-module(ram_bench_parts).

-export([main/0]).
-export([begin_node/1, fill/1, turn/3]).

%% Operations of one turn.
-define(GETS, 50000).
-define(PUTS, 4000).
-define(WORKERS, 100).

%% @doc Arguments of the VM: -extra Rounds Bench With Without, the last three being the folders of
%% the benchmark's beams and of an application ram each.
-spec main() -> no_return().
main() ->
    [Rounds, Bench | Apps] = init:get_plain_arguments(),
    [With, Without] = [begin_peer(Bench, App) || App <- Apps],
    Rows = [row(Cell, list_to_integer(Rounds), With, Without)
            || Cell <- [{get, 16}, {get, 1024}, {get, term}, {get, atoms}, {put, 16}]],
    ram_bench_report:table(Rows),
    [ok = peer:stop(Peer) || Peer <- [With, Without]],
    halt(0).

begin_peer(Bench, App) ->
    {ok, Peer, _} = peer:start_link(#{connection => standard_io, wait_boot => 30000,
                                      args => ["-pa", App, "-pa", Bench, "+sbwt", "none",
                                               "+sbwtdcpu", "none", "+sbwtdio", "none"]}),
    ok = peer:call(Peer, ?MODULE, begin_node, [App]),
    Peer.

%% @doc On the node.
-spec begin_node(string()) -> ok.
begin_node(App) ->
    _ = application:load(ram),
    ok = application:set_env(ram, storage, memory),
    ok = ram_bench_system:start(ram_memory, [node()]),
    true = lists:prefix(App, code:which(ram)),
    ok = ram_bench_system:start_local().

%% @doc On the node.
-spec fill(ram_bench_system:value()) -> ok.
fill(Value) ->
    [ok = ram_bench_system:fill(System, Value) || System <- [ram_memory, ets]],
    ok.

row({Operation, Value}, Rounds, With, Without) ->
    [ok = peer:call(Peer, ?MODULE, fill, [Value], infinity) || Peer <- [With, Without]],
    Turn = fun(Peer, System) ->
                   peer:call(Peer, ?MODULE, turn, [System, Operation, Value], infinity)
           end,
    Turns = [{Turn(With, ram_memory), Turn(Without, ram_memory), Turn(With, ets)}
             || _ <- lists:seq(1, Rounds)],
    Ns = [round(ram_bench_verdict:median([element(At, Turn3) || Turn3 <- Turns]))
          || At <- [1, 2, 3]],
    Quartiles = quartiles([Left / All || {All, Left, _} <- Turns])
        ++ quartiles([Ets / All || {All, _, Ets} <- Turns]),
    {io_lib:format("~p ~p: ns, ns, ets ns", [Operation, Value]),
     io_lib:format("~b ~b ~b", Ns),
     io_lib:format("without to with ~.3f ~.3f ~.3f, ets to ram ~.3f ~.3f ~.3f", Quartiles)}.

quartiles(Ratios) ->
    Sorted = lists:sort(Ratios),
    [lists:nth(1 + round(Part * (length(Sorted) - 1)), Sorted) || Part <- [0.25, 0.5, 0.75]].

%% @doc On the node: nanoseconds on a processor for one operation.
-spec turn(ram_bench_system:name(), get | put, ram_bench_system:value()) -> float().
turn(System, Operation, Value) ->
    Call = ram_bench_system:call(System, Operation, Value),
    {Workers, Count} = case Operation of
                           get -> {1, ?GETS};
                           put -> {?WORKERS, ?PUTS div ?WORKERS}
                       end,
    Begin = cpu_ns(),
    Loops = [spawn_monitor(fun() -> loop(Call, Count, rand:mwc59_seed()) end)
             || _ <- lists:seq(1, Workers)],
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Loops],
    (cpu_ns() - Begin) / (Workers * Count).

loop(_Call, 0, _Random) ->
    ok;
loop(Call, Count, Random0) ->
    Random = rand:mwc59(Random0),
    Call(rand:mwc59_value(Random)),
    loop(Call, Count - 1, Random).

cpu_ns() ->
    {ok, Threads} = file:list_dir("/proc/self/task"),
    lists:sum([on_processor_ns(Thread) || Thread <- Threads]).

on_processor_ns(Thread) ->
    {ok, Text} = file:read_file(["/proc/self/task/", Thread, "/schedstat"]),
    [Ns | _] = string:lexemes(Text, " "),
    binary_to_integer(Ns).
