%% Nodes for tests: real operating-system processes on loopback addresses of their own, controlled
%% over standard input and output, so that nothing a test does to their network cuts the control.
%%
%% Every run has its own folder, names and ports, so that runs do not meet. Member I of a run has
%% the address 127.X.Y.(10 + I), with X and Y from the run's pid; it listens there, connects from
%% there, and is advertised under a link of `ram_links', which can be cut. A run that is `direct'
%% has no links: members reach each other as they do in use. In one with `spaces' every node has a
%% network namespace of its own instead, and the address 10.86.0.(10 + I) in it: see `ram_spaces'.
%% With `clocks' the wall clock of each node can be stepped, by Debian's library `faketime'.
%% `each_start' adds to the environment of a node whenever it starts, by its number and whether it
%% has data; `args' are more words for every VM. `machine' says what the VM of a node is started by,
%% and where that finds its modules.
-module(ram_peers).

-export([start/2, start/3, start/4, stop/1, start_node/2, start_node/3, restart/2, halt/2,
         shut_down/2, kill/2, gone/2, suspend/2, suspend/3, resume/2, file_limit/3, step_clock/3,
         has_clocks/0, tune/4, heal/1]).
-export([members/1, leader/2, os_pid/2, node/2, nodes/1, nodes/2, links/1, folder/1, data_dir/2]).
-export([memory/3, reset_peak/2]).
-export([call/4, call/5, call/6, raised/4, raised/5, code_paths/0]).
-export([eventually/1, eventually/2, all_agree/2]).
-export_type([run/0, each_start/0, machine/0]).

-compile({no_auto_import, [node/1, nodes/1, nodes/2]}).

-type wires() :: links | direct | spaces.
-type each_start() :: fun((pos_integer(), HasData :: boolean()) -> [{atom(), term()}]).
-type machine() :: fun((pos_integer()) -> {Command :: string(), Paths :: [string()]}).
-type options() :: #{wires => wires(), clocks => boolean(), args => [string()],
                     each_start => each_start(), machine => machine()}.
-type run() :: #{folder := string(), wires := wires(), links := pid() | none, clocks := boolean(),
                 count := pos_integer(), table := ets:tid(), keeper := pid(), env := list(),
                 each_start := each_start(), args := [string()], machine := machine()}.

-define(CALL_MS, 60000).

%% @doc Starts nodes 1 to Count with ram on their path; the application does not run yet.
-spec start(pos_integer(), string()) -> run().
start(Count, Folder) ->
    start(Count, Folder, []).

%% @doc As start/2; Env is added to the application environment of ram on every node.
-spec start(pos_integer(), string(), [{atom(), term()}]) -> run().
start(Count, Folder, Env) ->
    start(Count, Folder, Env, links).

-spec start(pos_integer(), string(), [{atom(), term()}], wires() | options()) -> run().
start(Count, Folder, Env, Wires) when is_atom(Wires) ->
    start(Count, Folder, Env, #{wires => Wires});
start(Count, Folder0, Env, Options) ->
    Wires = maps:get(wires, Options, links),
    Unique = integer_to_list(erlang:unique_integer([positive])),
    Folder = filename:join(Folder0, "run" ++ Unique),
    ok = filelib:ensure_path(filename:join(Folder, "epmd")),
    {Keeper, Table, Links} = start_keeper(Wires),
    Run = #{folder => Folder, wires => Wires, links => Links, env => Env, table => Table,
            keeper => Keeper, count => Count, clocks => maps:get(clocks, Options, false),
            args => maps:get(args, Options, []),
            machine => maps:get(machine, Options, fun(_) -> {"erl", code_paths()} end),
            each_start => maps:get(each_start, Options, fun(_, _) -> [] end)},
    at_once(fun(I) -> start_node(Run, I) end, lists:seq(1, Count)),
    Run.

%% Most of what a VM needs to start and to stop is time.
at_once(Do, Items) ->
    Doing = [spawn_monitor(fun() -> Do(Item) end) || Item <- Items],
    [receive
         {'DOWN', Monitor, process, Pid, normal} -> ok;
         {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
     end || {Pid, Monitor} <- Doing],
    ok.

%% A process that outlives the one that starts a run: a suite starts it in a process of its own.
start_keeper(Wires) ->
    Starter = self(),
    Keeper = spawn(fun() ->
                           Starter ! {self(), ets:new(?MODULE, [public]), start_links(Wires)},
                           receive stop -> ok end
                   end),
    receive {Keeper, Table, Links} -> {Keeper, Table, Links} end.

start_links(links) -> ram_links:start();
start_links(spaces) -> ram_spaces:start();
start_links(direct) -> none.

stop_links(#{wires := links, links := Links}) -> ram_links:stop(Links);
stop_links(#{wires := spaces, links := Spaces}) -> ram_spaces:stop(Spaces);
stop_links(#{wires := direct}) -> ok.

-spec stop(run()) -> ok.
stop(#{table := Table, keeper := Keeper} = Run) ->
    Stop = fun({_, Peer, OsPid}) ->
                   %% A case that failed may have left it suspended, or ended it.
                   _ = os:cmd("kill -CONT " ++ OsPid),
                   stop_peer(Peer)
           end,
    at_once(Stop, ets:tab2list(Table)),
    ok = stop_links(Run),
    Keeper ! stop,
    ok.

-spec start_node(run(), pos_integer()) -> node().
start_node(Run, I) ->
    start_node(Run, I, []).

-spec start_node(run(), pos_integer(), [{atom(), term()}]) -> node().
start_node(Run, I, More) ->
    #{folder := Folder, table := Table, env := Env, each_start := Each, machine := Machine} = Run,
    Address = address(Run, I),
    {Command, Paths} = Machine(I),
    Settings = [{data_dir, data_dir(Run, I)} | wire(Run, I, Address)] ++ Env ++
        Each(I, filelib:is_dir(data_dir(Run, I))) ++ More,
    Options = #{name => name(I), host => Address, longnames => true,
                connection => standard_io, wait_boot => 30000,
                %% A write beyond `file_limit' shall be an error and not a signal.
                exec => {"/bin/sh", ["-c", "trap '' XFSZ; exec " ++ network(Run, I, Address)
                                     ++ " " ++ Command ++ " \"$@\"", "erl"]},
                env => clock(Run, I),
                args => maps:get(args, Run) ++ Paths ++ settings(Settings) ++
                    ["-setcookie", "ram_test", "-start_epmd", "false",
                     "-epmd_module", "ram_test_epmd",
                     "-ram_test_epmd", filename:join(Folder, "epmd"),
                     "-kernel", "prevent_overlapping_partitions", "false",
                     "-kernel", "inet_dist_use_interface", interface(Address),
                     "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]},
    {ok, Peer, Node} = peer:start(Options),
    OsPid = peer:call(Peer, os, getpid, []),
    ets:insert(Table, {I, Peer, OsPid}),
    %% Another node may have had it started already.
    case peer:call(Peer, application, load, [ram]) of
        ok -> ok;
        {error, {already_loaded, ram}} -> ok
    end,
    ok = peer:call(Peer, logger, set_primary_config, [level, notice]),
    Node.

%% From the first moment: the later of two settings of one key counts.
settings(Settings) ->
    Last = maps:from_list(Settings),
    lists:append([["-ram", atom_to_list(Key), lists:flatten(io_lib:format("~0tp", [Value]))]
                  || {Key, Value} <- maps:to_list(Last)]).

wire(#{wires := links, links := Links}, I, Address) ->
    Link = ram_links:link_to(Links, I, Address),
    [{listen, {Address, Link}}, {advertise, {"127.0.0.1", Link}}];
wire(_Run, _I, _Address) ->
    [].

network(#{wires := spaces, links := Spaces}, I, Address) -> ram_spaces:enter(Spaces, I, Address);
network(_Run, _I, _Address) -> "".

%% The wall clock alone is a made-up one; what `step_clock' writes is read again each second.
clock(#{clocks := false}, _I) ->
    [];
clock(#{clocks := true} = Run, I) ->
    filelib:is_file(clock_file(Run, I)) orelse step_clock(Run, I, 0),
    {ok, Library} = faketime(),
    [{"LD_PRELOAD", Library}, {"FAKETIME_TIMESTAMP_FILE", clock_file(Run, I)},
     {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}, {"FAKETIME_CACHE_DURATION", "1"}].

clock_file(#{folder := Folder}, I) ->
    filename:join(Folder, "clock" ++ integer_to_list(I)).

%% @doc Whether this machine has the library for clocks that can be stepped.
has_clocks() ->
    faketime() =/= none.

faketime() ->
    case filelib:wildcard("/usr/lib/*/faketime/libfaketimeMT.so.1") of
        [Library | _] -> {ok, Library};
        [] -> none
    end.

%% @doc From now on the wall clock of the node is so many seconds from the true time.
step_clock(Run, I, Seconds) ->
    File = clock_file(Run, I),
    ok = file:write_file(File ++ ".new", io_lib:format("~s~b~n", [[$+ || Seconds >= 0], Seconds])),
    ok = file:rename(File ++ ".new", File).

%% @doc Starts a node that was stopped or killed, with the data it had, and the application.
-spec restart(run(), pos_integer()) -> node().
restart(Run, I) ->
    Node = start_node(Run, I),
    ok = call(Run, I, ram, start, []),
    Node.

%% @doc Stops a node in good order.
-spec halt(run(), pos_integer()) -> ok.
halt(#{table := Table}, I) ->
    [{I, Peer, _}] = ets:take(Table, I),
    stop_peer(Peer).

%% @doc Stops a node as its operator would: its applications first.
-spec shut_down(run(), pos_integer()) -> ok.
shut_down(#{table := Table} = Run, I) ->
    [{I, Peer, _}] = ets:lookup(Table, I),
    Monitor = monitor(process, Peer),
    unlink(Peer),
    ok = call(Run, I, init, stop, []),
    receive {'DOWN', Monitor, process, Peer, _} -> ok after 20000 -> error(still_there) end,
    true = ets:delete(Table, I),
    ok.

%% @doc kill -9.
-spec kill(run(), pos_integer()) -> ok.
kill(#{table := Table} = Run, I) ->
    [{I, Peer, OsPid}] = ets:lookup(Table, I),
    unlink(Peer),
    signal("KILL", OsPid),
    gone(Run, I).

%% @doc Returns when a node that ends by itself has ended.
-spec gone(run(), pos_integer()) -> ok.
gone(#{table := Table}, I) ->
    Peer = ets:lookup_element(Table, I, 2),
    Monitor = monitor(process, Peer),
    unlink(Peer),
    receive {'DOWN', Monitor, process, Peer, _} -> ok after 10000 -> error(still_there) end,
    true = ets:delete(Table, I),
    ok.

%% @doc Returns when the node has stopped: the signal takes effect when one of its threads is given
%% time, and until then the others go on.
-spec suspend(run(), pos_integer()) -> ok.
suspend(#{table := Table}, I) ->
    OsPid = ets:lookup_element(Table, I, 3),
    signal("STOP", OsPid),
    eventually(fun() -> lists:all(fun is_stopped/1, threads(OsPid)) end).

%% None where the system has no /proc.
threads(OsPid) ->
    filelib:wildcard("/proc/" ++ OsPid ++ "/task/*/stat").

is_stopped(Thread) ->
    {ok, Text} = file:read_file(Thread),
    nomatch =/= re:run(Text, "^.*\\) T ").

%% @doc As suspend/2, and resumes it after so long, even if this VM is gone by then.
-spec suspend(run(), pos_integer(), pos_integer()) -> ok.
suspend(#{table := Table}, I, Ms) ->
    Pid = ets:lookup_element(Table, I, 3),
    Words = ["(kill -STOP ", Pid, "; sleep ", float_to_list(Ms / 1000, [{decimals, 3}]),
             "; kill -CONT ", Pid, ") >/dev/null 2>&1 &"],
    "" = os:cmd(lists:flatten(Words)),
    ok.

-spec resume(run(), pos_integer()) -> ok.
resume(#{table := Table}, I) ->
    signal("CONT", ets:lookup_element(Table, I, 3)).

%% @doc No file of the node may grow beyond this: further writes fail.
-spec file_limit(run(), pos_integer(), pos_integer() | unlimited) -> ok.
file_limit(#{table := Table}, I, Bytes) ->
    OsPid = ets:lookup_element(Table, I, 3),
    "" = os:cmd(lists:concat(["prlimit --pid ", OsPid, " --fsize=", Bytes, ":unlimited"])),
    ok.

%% @doc Gives the wire from node A to node B a quality; not every kind of network has every one.
-spec tune(run(), pos_integer(), pos_integer(), ram_links:quality()) -> ok | unavailable.
tune(#{wires := links, links := Links}, A, B, Quality) ->
    ram_links:tune(Links, A, B, Quality);
tune(#{wires := spaces, links := Spaces}, A, B, Quality) when Quality =:= cut; Quality =:= held ->
    ram_spaces:hold(Spaces, A, B);
tune(#{wires := spaces, links := Spaces}, A, B, open) ->
    ram_spaces:mend(Spaces, A, B);
tune(_Run, _A, _B, _Quality) ->
    unavailable.

%% @doc All wires are as new.
heal(#{wires := links, links := Links}) -> ram_links:heal(Links);
heal(#{wires := spaces, links := Spaces}) -> ram_spaces:heal(Spaces).

signal(Signal, OsPid) ->
    "" = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    ok.

stop_peer(Peer) ->
    unlink(Peer),
    try peer:stop(Peer) catch exit:_ -> ok end.

-spec node(run(), pos_integer()) -> node().
node(Run, I) ->
    list_to_atom(name(I) ++ "@" ++ address(Run, I)).

%% @doc The names of all nodes of the run that are up.
-spec nodes(run()) -> [node()].
nodes(#{table := Table} = Run) ->
    nodes(Run, lists:sort([I || {I, _, _} <- ets:tab2list(Table)])).

%% @doc The numbers of the nodes that the run began with.
members(#{count := Count}) ->
    lists:seq(1, Count).

-spec nodes(run(), [pos_integer()]) -> [node()].
nodes(Run, Indexes) ->
    [?MODULE:node(Run, I) || I <- Indexes].

%% @doc The number of the node that leads, as node I knows it.
-spec leader(run(), pos_integer()) -> pos_integer().
leader(Run, I) ->
    eventually(fun() -> call(Run, I, leader, []) =/= undefined end),
    Leader = call(Run, I, leader, []),
    hd([N || N <- lists:seq(1, 9), ?MODULE:node(Run, N) =:= Leader]).

%% @doc The process of the operating system that node I is.
os_pid(#{table := Table}, I) ->
    ets:lookup_element(Table, I, 3).

%% @doc What Linux says of the memory of node I, in bytes: "VmRSS:" is what is resident, "VmHWM:"
%% the peak of that, counted from `reset_peak'.
memory(Run, I, Name) ->
    {ok, Status} = file:read_file(proc(Run, I, "status")),
    [Kib] = [binary_to_integer(Number)
             || Line <- binary:split(Status, <<"\n">>, [global]),
                [Key, Number | _] <- [string:lexemes(Line, "\t ")], Key =:= list_to_binary(Name)],
    1024 * Kib.

reset_peak(Run, I) ->
    file:write_file(proc(Run, I, "clear_refs"), "5").

proc(Run, I, File) ->
    filename:join(["/proc", os_pid(Run, I), File]).

links(#{links := Links}) -> Links.

folder(#{folder := Folder}) -> Folder.

data_dir(#{folder := Folder}, I) ->
    filename:join(Folder, "data" ++ integer_to_list(I)).

name(I) ->
    "ram" ++ integer_to_list(I).

%% Networks of their own may have the addresses of other runs; on loopback there is a /24 for each
%% test process.
address(#{wires := spaces}, I) ->
    "10.86.0." ++ integer_to_list(10 + I);
address(_Run, I) ->
    Pid = list_to_integer(os:getpid()),
    lists:concat(["127.", 1 + Pid div 250 rem 250, ".", 1 + Pid rem 250, ".", 10 + I]).

interface(Address) ->
    {ok, Ip} = inet:parse_address(Address),
    lists:flatten(io_lib:format("~w", [Ip])).

%% @doc What a VM is started with, to find what this one finds.
code_paths() ->
    lists:append([["-pa", Path] || Path <- code:get_path(), not is_otp(Path)]).

is_otp(Path) ->
    lists:prefix(code:root_dir(), Path) orelse lists:prefix(code:lib_dir(), Path).

%% @doc Calls a function on node I; what it raises is raised here.
call(Run, I, Module, Function, Arguments) ->
    call(Run, I, Module, Function, Arguments, ?CALL_MS).

call(#{table := Table}, I, Module, Function, Arguments, TimeoutMs) ->
    peer:call(ets:lookup_element(Table, I, 2), Module, Function, Arguments, TimeoutMs).

call(Run, I, Function, Arguments) ->
    call(Run, I, ram, Function, Arguments).

%% @doc What a call of ram on node I raises.
raised(Run, I, Function, Arguments) ->
    raised(Run, I, ram, Function, Arguments).

raised(Run, I, Module, Function, Arguments) ->
    try call(Run, I, Module, Function, Arguments) of
        Result -> {returned, Result}
    catch
        error:Reason -> Reason;
        exit:Reason -> {exit, Reason}
    end.

%% @doc Waits until a condition holds, 20 s at most.
-spec eventually(fun(() -> boolean())) -> ok.
eventually(Condition) ->
    eventually(Condition, 20000).

-spec eventually(fun(() -> boolean()), pos_integer()) -> ok.
eventually(Condition, TimeoutMs) ->
    wait(Condition, erlang:monotonic_time(millisecond) + TimeoutMs).

wait(Condition, Deadline) ->
    Holds = try Condition() catch _:_ -> false end,
    case Holds of
        true -> ok;
        false ->
            case erlang:monotonic_time(millisecond) > Deadline of
                true -> error({never, erlang:fun_info(Condition, name)});
                false -> receive after 20 -> wait(Condition, Deadline) end
            end
    end.

%% @doc Every node of these has the same members, exactly these.
all_agree(Run, Indexes) ->
    Expected = lists:sort(nodes(Run, Indexes)),
    eventually(fun() ->
                       lists:all(fun(I) -> call(Run, I, nodes, []) =:= Expected end, Indexes)
               end).
