%% One key that callers on all nodes update at once: nothing is lost, few rounds are wasted, and a
%% node that is slow, suspended or dead in its turn does not stop the others for long.
-module(ram_hot_key_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, call/5]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([updaters_on_all_nodes_lose_nothing_and_few_rounds/1,
         the_others_go_on_beside_a_node_that_is_suspended/1,
         nothing_is_lost_or_done_twice_when_the_leader_is_killed/1,
         the_others_go_on_when_a_node_is_killed_in_its_turn/1,
         the_others_go_on_beside_a_fun_that_is_slow/1,
         large_values_are_updated_from_all_nodes/1,
         one_that_may_not_run_again_meets_no_conflict_when_it_is_alone/1]).
%% Run on the nodes.
-export([overtaken/1, once/1, update/2, get_and_update/2, append/2, update_until_stopped/2,
         update_slowly/2, update_until_killed_in_a_turn/2, is_given_a_turn/0]).

-define(UPDATERS, 10).
-define(SLOW_MS, 200).
%% A turn of 20 ms is over by then, and so is whatever the end of a node stops.
-define(ANOTHER_TURN_MS, 10000).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [overtaken, once]).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

updaters_on_all_nodes_lose_nothing_and_few_rounds(Config) ->
    Run = run(Config),
    Times = ram_case:amount(200, 2000),
    Count = 3 * ?UPDATERS * Times,
    [begin
         Before = entries(Run),
         ok = ram_load:wait_all(spawn_updaters(Run, [1, 2, 3], Update, [Update, Times])),
         ?assertEqual(Count, call(Run, 1, get, [Update])),
         %% Alone, those of one node would have ten in a round.
         Together = Count / (entries(Run) - Before),
         ?assert(Together > 4.0, {Update, Together})
     end || Update <- [update, get_and_update]].

the_others_go_on_beside_a_node_that_is_suspended(Config) ->
    Run = run(Config),
    [Suspended, Other] = [1, 2, 3] -- [ram_peers:leader(Run, 1)],
    All = spawn_updaters(Run, [1, 2, 3], update_until_stopped, [hot]),
    counts_to(Run, Other, 1000),
    ok = ram_peers:suspend(Run, Suspended),
    Begin = erlang:monotonic_time(millisecond),
    counts_to(Run, Other, call(Run, Other, get, [hot]) + 1000),
    Ms = erlang:monotonic_time(millisecond) - Begin,
    ram_figure:at_most("1000 updates beside a suspended updater", Ms, 2000, "ms"),
    ok = ram_peers:resume(Run, Suspended),
    {Done, Unknown} = stopped(Run, Other, All),
    Sum = call(Run, Other, get, [hot]),
    ?assert(Done =< Sum andalso Sum =< Done + Unknown, {Done, Sum, Unknown}).

%% No updater is on the node that is killed.
nothing_is_lost_or_done_twice_when_the_leader_is_killed(Config) ->
    Run = run(Config),
    Times = ram_case:amount(300, 3000),
    Leader = ram_peers:leader(Run, 1),
    [One | _] = Others = [1, 2, 3] -- [Leader],
    Updaters = spawn_updaters(Run, Others, update, [hot, Times]),
    counts_to(Run, One, ?UPDATERS * Times div 2),
    ok = ram_peers:kill(Run, Leader),
    ok = ram_load:wait_all(Updaters),
    ?assertEqual(2 * ?UPDATERS * Times, call(Run, One, get, [hot])).

%% The update that it had the turn for never was.
the_others_go_on_when_a_node_is_killed_in_its_turn(Config) ->
    Run = run(Config),
    [Killed, Other] = [1, 2, 3] -- [ram_peers:leader(Run, 1)],
    File = filename:join(ram_peers:folder(Run), "done"),
    Updaters = spawn_updaters(Run, [1, 2, 3] -- [Killed], update_until_stopped, [hot]),
    counts_to(Run, Other, 1000),
    _ = ram_load:spawn_all(Run, [Killed], 1, fun ?MODULE:update_until_killed_in_a_turn/2,
                           [hot, File]),
    ok = ram_peers:gone(Run, Killed),
    Begin = erlang:monotonic_time(millisecond),
    counts_to(Run, Other, call(Run, Other, get, [hot]) + 2000),
    Ms = erlang:monotonic_time(millisecond) - Begin,
    ram_figure:at_most("2000 updates beside an updater killed in its turn", Ms, 2000, "ms"),
    ?assert(call(Run, Other, ?MODULE, is_given_a_turn, [])),
    {Done, Unknown} = stopped(Run, Other, Updaters),
    {ok, Text} = file:read_file(File),
    OfKilled = binary_to_integer(Text),
    _ = ram_peers:restart(Run, Killed),
    [Sum] = lists:usort([call(Run, I, get, [hot]) || I <- [1, 2, 3]]),
    Lost = Done + OfKilled - Sum,
    ?assert(Lost =< 0 andalso -Lost =< Unknown, {Done, OfKilled, Sum, Unknown}),
    [?assertEqual({ok, Sum + I}, call(Run, I, ?MODULE, once, [hot])) || I <- [1, 2, 3]].

the_others_go_on_beside_a_fun_that_is_slow(Config) ->
    Run = run(Config),
    Times = ram_case:amount(100, 1000),
    [Slow | Others] = [1, 2, 3],
    Slowly = ram_load:spawn_all(Run, [Slow], 1, fun ?MODULE:update_slowly/2, [hot]),
    ram_peers:eventually(fun() -> call(Run, Slow, get, [slow]) =:= true end),
    Begin = erlang:monotonic_time(millisecond),
    ok = ram_load:wait_all(spawn_updaters(Run, Others, update, [hot, Times])),
    Ms = erlang:monotonic_time(millisecond) - Begin,
    ram_figure:at_most("an update beside a slow one", Ms / Times, ?SLOW_MS / 10, "ms"),
    ok = call(Run, 2, put, [stop, true]),
    [receive {'DOWN', Monitor, process, Pid, {done, {Done, Unknown}}} ->
             Sum = call(Run, 2, get, [hot]) - 2 * ?UPDATERS * Times,
             ?assert(Done =< Sum andalso Sum =< Done + Unknown, {Done, Sum, Unknown})
     end || {Pid, Monitor} <- Slowly].

large_values_are_updated_from_all_nodes(Config) ->
    Run = run(Config),
    Times = ram_case:amount(3, 30),
    Updaters = ram_load:spawn_all(Run, [1, 2, 3], 2, fun ?MODULE:append/2, [hot, Times]),
    ok = ram_load:wait_all(Updaters),
    ?assertEqual(6 * Times, length(call(Run, 1, get, [hot]))).

%%% Updaters

%% What its node remembers of the key, and what the leader would tell it, is old.
one_that_may_not_run_again_meets_no_conflict_when_it_is_alone(Config) ->
    Run = run(Config),
    ok = call(Run, 1, put, [hot, 0]),
    {ok, 2} = call(Run, 2, ?MODULE, overtaken, [hot]),
    [begin
         ok = call(Run, 1, put, [hot, Value]),
         ?assertEqual({ok, Value + 1}, call(Run, 2, ?MODULE, once, [hot]))
     end || Value <- lists:seq(10, 50)].

%% The first write meets a conflict, so the key is a contended one for a second.
overtaken(Key) ->
    ram:update(Key, 0, fun(Value) ->
        _ = erlang:put(overtaken, true) =:= undefined andalso ram:put(Key, Value + 1),
        Value + 1
    end, #{return => new}).

once(Key) ->
    ram:update(Key, 0, fun(Value) -> Value + 1 end, #{return => new, retries => 0}).

spawn_updaters(Run, Indexes, Function, Arguments) ->
    ram_load:spawn_all(Run, Indexes, ?UPDATERS, fun ?MODULE:Function/2, Arguments).

update(_Number, [Key, Times]) ->
    [ok = ram:update(Key, 1, fun(N) -> N + 1 end) || _ <- lists:seq(1, Times)],
    ok.

%% Nobody is told a number that another was told.
get_and_update(_Number, [Key, Times]) ->
    Next = fun({ok, N}) -> {put, N + 1, N + 1}; (error) -> {put, 1, 1} end,
    Told = [ram:get_and_update(Key, Next) || _ <- lists:seq(1, Times)],
    Told = lists:usort(Told),
    ok.

%% The second of these and later ones have a value of a megabyte.
append(Number, [Key, Times]) ->
    Add = fun([]) -> [Number];
             ([{Large, _} | _] = Held) -> [{Large, Number} | Held];
             (Held) -> [{binary:copy(<<0>>, 1000000), Number} | Held]
          end,
    [ok = ram:update(Key, [Number], Add) || _ <- lists:seq(1, Times)],
    ok.

%% How many were done, and of how many that is not known.
update_until_stopped(_Number, [Key]) ->
    until_stopped(fun() -> ram:update(Key, 1, fun(N) -> N + 1 end) end, {0, 0}).

update_slowly(_Number, [Key]) ->
    Slow = fun(N) -> receive after ?SLOW_MS -> N + 1 end end,
    ok = ram:put(Key, 0),
    ok = ram:put(slow, true),
    until_stopped(fun() -> ram:update(Key, 1, Slow) end, {0, 0}).

%% This node has the turn from when the leader has answered so. What it did before is in the file.
update_until_killed_in_a_turn(_Number, [Key, File]) ->
    Kill = open_port({spawn_executable, "/bin/sh"},
                     [{args, ["-c", "read now && kill -KILL " ++ os:getpid()]}]),
    ok = watch_turns(new_processes),
    Update = fun(Done) ->
        ram:update(Key, 1, fun(N) ->
            case is_given_a_turn(1) of
                true ->
                    ok = file:write_file(File, integer_to_list(Done)),
                    true = port_command(Kill, "now\n"),
                    receive after infinity -> ok end;
                false ->
                    N + 1
            end
        end)
    end,
    until_killed(Update, 0).

until_killed(Update, Done) ->
    ok = Update(Done),
    until_killed(Update, Done + 1).

%% Whether this node gets another turn, at any key.
is_given_a_turn() ->
    ok = watch_turns(processes),
    is_given_a_turn(?ANOTHER_TURN_MS).

%% Tells this process of the answers to those who ask for one.
watch_turns(Processes) ->
    1 = erlang:trace_pattern({ram_request, call, 3}, [{'_', [], [{return_trace}]}], [local]),
    _ = erlang:trace(Processes, true, [call]),
    ok.

is_given_a_turn(LimitMs) ->
    receive {trace, _Asks, return_from, {ram_request, call, 3}, {turn, _Hint}} -> true
    after LimitMs -> false
    end.

until_stopped(Update, {Done, Unknown} = Told) ->
    try ram:get(stop, false) orelse Update() of
        true -> Told;
        ok -> until_stopped(Update, {Done + 1, Unknown})
    catch
        error:Reason ->
            case ram:outcome(Reason) of
                unknown -> until_stopped(Update, {Done, Unknown + 1});
                not_applied -> until_stopped(Update, Told)
            end
    end.

%%% What is seen from outside

%% How many updates were done, and of how many that is not known.
stopped(Run, I, Updaters) ->
    ok = call(Run, I, put, [stop, true]),
    Told = [receive {'DOWN', Monitor, process, Pid, {done, Of}} -> Of end
            || {Pid, Monitor} <- Updaters],
    {lists:sum([Done || {Done, _} <- Told]), lists:sum([Unknown || {_, Unknown} <- Told])}.

counts_to(Run, I, Sum) ->
    ram_peers:eventually(fun() -> call(Run, I, get, [hot, 0]) >= Sum end, 60000).

entries(Run) ->
    maps:get(applied_index, call(Run, 1, status, [])).
