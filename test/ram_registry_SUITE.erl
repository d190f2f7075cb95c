%% Names of processes, each of one process in the whole cluster: for what OTP starts, while
%% processes and nodes end, and on both sides of a split.
-module(ram_registry_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/5, call/6, raised/5]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_name_is_of_one_process_and_found_on_every_node/1,
         of_many_who_register_at_once_one_has_the_name/1,
         servers_state_machines_and_supervisors_have_names/1,
         a_child_that_ended_is_started_again_with_its_name_at_once/1,
         a_process_that_has_ended_has_no_name/1,
         a_name_is_sent_to_as_by_global/1,
         names_that_make_no_sense_are_refused/1,
         a_node_that_comes_back_registers_its_names_at_once/1,
         the_names_of_a_node_that_is_killed_are_free_in_time/1,
         both_sides_of_a_split_register_a_name_and_one_has_it/1,
         a_process_that_lost_its_name_while_it_was_cut_off_is_told/1]).

-define(OWNER_TIMEOUT_MS, 1500).
-define(FREE_MS, ?OWNER_TIMEOUT_MS + 2000).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3, [{owner_timeout_ms, ?OWNER_TIMEOUT_MS}]).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

registry(Run, I, Function, Arguments) ->
    call(Run, I, ram_registry, Function, Arguments).

register(Run, I, Name, Pid) ->
    registry(Run, I, register_name, [Name, Pid]).

process(Run, I) ->
    call(Run, I, ram_holder, start, []).

whereis(Run, I, Name) ->
    registry(Run, I, whereis_name, [Name]).

%% What every node says.
is_everywhere(Run, Name, Pid) ->
    [?assertEqual({I, Pid}, {I, whereis(Run, I, Name)}) || I <- [1, 2, 3]],
    ok.

a_name_is_of_one_process_and_found_on_every_node(Config) ->
    Run = run(Config),
    ?assertEqual([], registry(Run, 1, names, [])),
    ?assertEqual(undefined, whereis(Run, 2, nobody)),
    ?assertEqual(ok, registry(Run, 3, unregister_name, [nobody])),
    Names = [name, {a, "tuple"}, <<"binary">>, 1, 1.0, #{}],
    Pids = [begin
                Pid = process(Run, I),
                ?assertEqual(yes, register(Run, I, Name, Pid)),
                ?assertEqual(no, register(Run, I, Name, Pid)),
                ?assertEqual(no, register(Run, I rem 3 + 1, Name, process(Run, I rem 3 + 1))),
                ok = is_everywhere(Run, Name, Pid),
                {Name, Pid}
            end || {Name, I} <- lists:zip(Names, [1, 2, 3, 1, 2, 3])],
    [?assertEqual({I, [], []}, {I, Names -- Got, Got -- Names})
     || I <- [1, 2, 3], Got <- [registry(Run, I, names, [])]],
    %% One process may have many names, and one of another node be registered.
    {name, Pid} = hd(Pids),
    ?assertEqual(yes, register(Run, 2, another, Pid)),
    ok = is_everywhere(Run, another, Pid),
    ?assertEqual(ok, registry(Run, 2, unregister_name, [name])),
    ok = is_everywhere(Run, name, undefined),
    ok = is_everywhere(Run, another, Pid),
    ?assertEqual(yes, register(Run, 3, name, process(Run, 3))).

of_many_who_register_at_once_one_has_the_name(Config) ->
    Run = run(Config),
    [begin
         Self = self(),
         Askers = [spawn_link(fun() ->
                       Pid = process(Run, I),
                       Self ! {self(), {register(Run, I, Name, Pid), Pid}}
                   end) || I <- [1, 2, 3], _ <- lists:seq(1, 5)],
         Told = [receive {Asker, Answer} -> Answer end || Asker <- Askers],
         [Registered] = [Pid || {yes, Pid} <- Told],
         ok = is_everywhere(Run, Name, Registered)
     end || Name <- lists:seq(1, ram_case:amount(20, 200))].

servers_state_machines_and_supervisors_have_names(Config) ->
    Run = run(Config),
    [begin
         {ok, Pid} = call(Run, 1, ram_named, start, [Kind, Kind]),
         ok = is_everywhere(Run, Kind, Pid),
         [?assertEqual({ram_peers:node(Run, 1), Pid}, call(Run, I, ram_named, who, [Kind, Kind]))
          || I <- [1, 2, 3]],
         ?assertEqual({error, {already_started, Pid}},
                      call(Run, 2, ram_named, start, [Kind, Kind])),
         {ok, Supervisor} = call(Run, 3, ram_named, start_supervisor,
                                 [{sup, Kind}, Kind, {of_sup, Kind}]),
         ok = is_everywhere(Run, {sup, Kind}, Supervisor),
         ?assertMatch({_, Child} when is_pid(Child),
                      call(Run, 1, ram_named, who, [Kind, {of_sup, Kind}])),
         ok = call(Run, 2, Kind, stop, [{via, ram_registry, Kind}]),
         ok = ram_peers:eventually(fun() -> whereis(Run, 2, Kind) =:= undefined end)
     end || Kind <- [gen_server, gen_statem]].

%% Before the cluster knows that its predecessor ended.
a_child_that_ended_is_started_again_with_its_name_at_once(Config) ->
    Run = run(Config),
    [begin
         {ok, Supervisor} = call(Run, I, ram_named, start_supervisor, [{sup, I}, gen_server, I]),
         Pids = [begin
                     Pid = whereis(Run, I, I),
                     true = call(Run, I, erlang, exit, [Pid, kill]),
                     ok = ram_peers:eventually(fun() ->
                         New = whereis(Run, I, I),
                         is_pid(New) andalso New =/= Pid
                     end),
                     Pid
                 end || _ <- lists:seq(1, ram_case:amount(20, 200))],
         ?assertEqual(length(Pids), length(lists:usort(Pids))),
         ?assert(call(Run, I, ram_holder, is_alive, [Supervisor])),
         {_, Last} = call(Run, 1, ram_named, who, [gen_server, I]),
         ok = is_everywhere(Run, I, Last)
     end || I <- [1, 2, 3]].

a_process_that_has_ended_has_no_name(Config) ->
    Run = run(Config),
    [begin
         Pid = process(Run, I),
         yes = register(Run, I, I, Pid),
         ok = call(Run, I, ram_holder, stop, [Pid]),
         ?assertEqual(undefined, whereis(Run, I, I)),
         ok = ram_peers:eventually(fun() -> registry(Run, I, names, []) =:= [] end),
         ok = is_everywhere(Run, I, undefined),
         ?assertEqual(yes, register(Run, I rem 3 + 1, I, process(Run, I rem 3 + 1))),
         ok = registry(Run, I, unregister_name, [I])
     end || I <- [1, 2, 3]].

a_name_is_sent_to_as_by_global(Config) ->
    Run = run(Config),
    Pid = process(Run, 1),
    yes = register(Run, 1, name, Pid),
    [?assertEqual(Pid, registry(Run, I, send, [name, {hello, I}])) || I <- [1, 2, 3]],
    Messages = fun() -> lists:sort(call(Run, 1, ram_holder, messages, [Pid])) end,
    ok = ram_peers:eventually(fun() -> Messages() =:= [{hello, I} || I <- [1, 2, 3]] end),
    ?assertEqual({exit, {badarg, {nobody, hello}}},
                 raised(Run, 1, ram_registry, send, [nobody, hello])),
    [?assertEqual(ok, call(Run, 2, Kind, cast, [{via, ram_registry, Name}, {tell, Pid}]))
     || Kind <- [gen_server, gen_statem], Name <- [nobody, {name, Kind}]],
    [{ok, _} = call(Run, 3, ram_named, start, [Kind, {name, Kind}])
     || Kind <- [gen_server, gen_statem]],
    [ok = call(Run, 2, Kind, cast, [{via, ram_registry, {name, Kind}}, {tell, Pid}])
     || Kind <- [gen_server, gen_statem]],
    Told = [{told, {name, Kind}} || Kind <- [gen_server, gen_statem]],
    ok = ram_peers:eventually(fun() -> Told -- Messages() =:= [] end).

names_that_make_no_sense_are_refused(Config) ->
    Run = run(Config),
    {Fun, Pid} = {fun() -> ok end, process(Run, 1)},
    [?assertEqual({Function, Arguments, badarg},
                  {Function, Arguments, raised(Run, 1, ram_registry, Function, Arguments)})
     || {Function, Arguments} <- [{register_name, [Fun, Pid]}, {register_name, [a, b]},
                                  {unregister_name, [Fun]}, {whereis_name, [Fun]},
                                  {send, [Fun, hello]}]],
    Long = binary:copy(<<"n">>, 70000),
    [?assertEqual({key_too_large, 65536}, raised(Run, 1, ram_registry, Function, Arguments))
     || {Function, Arguments} <- [{register_name, [Long, Pid]}, {whereis_name, [Long]}]].

%% Its processes of before are gone, whether the cluster knows it or not.
a_node_that_comes_back_registers_its_names_at_once(Config) ->
    Run = run(Config),
    yes = register(Run, 3, name, process(Run, 3)),
    ok = ram_peers:kill(Run, 3),
    _ = ram_peers:restart(Run, 3),
    ok = ram_peers:eventually(fun() -> whereis(Run, 3, name) =:= undefined end),
    Pid = process(Run, 3),
    ?assertEqual(yes, register(Run, 3, name, Pid)),
    ok = is_everywhere(Run, name, Pid),
    %% And it stays so.
    ok = ram_peers:eventually(fun() -> ok =:= call(Run, 3, ram_request, sync, []) end),
    ok = is_everywhere(Run, name, Pid).

the_names_of_a_node_that_is_killed_are_free_in_time(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Other, Third] = [1, 2, 3] -- [Leader],
    Count = ram_case:amount(500, 100000),
    {Us, ok} = timer:tc(fun() ->
        call(Run, Other, ram_named, register_all, [name, Count], 600000)
    end),
    ram_figure:told("names registered", Count * 1000000 div Us, "/s"),
    yes = register(Run, Third, stays, process(Run, Third)),
    {NamesUs, Names} = timer:tc(fun() -> registry(Run, Third, names, []) end),
    ?assertEqual(Count + 1, length(Names)),
    ram_figure:told("names of all processes", NamesUs div 1000, "ms"),
    Since = erlang:monotonic_time(millisecond),
    ok = ram_peers:kill(Run, Other),
    ok = call(Run, Third, ram_named, left, [1], 90000),
    Ms = erlang:monotonic_time(millisecond) - Since,
    ram_figure:at_most("names of a node that is killed", Ms, ?FREE_MS, "ms"),
    ?assertEqual([stays], registry(Run, Third, names, [])),
    ok = call(Run, Third, ram_named, register_all, [name, Count], 600000),
    ?assertEqual(Count + 1, length(registry(Run, Leader, names, []))).

both_sides_of_a_split_register_a_name_and_one_has_it(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Other, _] = Others = [1, 2, 3] -- [Leader],
    [Here, There] = [process(Run, I) || I <- [Other, Leader]],
    ok = ram_links:cut_both(ram_peers:links(Run), [Leader], Others),
    ?assertMatch({timeout, _}, raised(Run, Leader, ram_registry, register_name, [name, There])),
    ok = ram_peers:eventually(fun() -> register(Run, Other, name, Here) =:= yes end),
    ?assertMatch({timeout, _}, raised(Run, Leader, ram_registry, whereis_name, [name])),
    ok = ram_peers:heal(Run),
    %% That of the minority may come late, and is none.
    ok = ram_peers:eventually(fun() -> whereis(Run, Leader, name) =:= Here end),
    ?assertEqual(no, register(Run, Leader, name, There)),
    ok = is_everywhere(Run, name, Here).

a_process_that_lost_its_name_while_it_was_cut_off_is_told(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Other, _] = Others = [1, 2, 3] -- [Leader],
    Plain = process(Run, Leader),
    yes = register(Run, Leader, plain, Plain),
    [{ok, Old}, {ok, _}] = [call(Run, Leader, ram_named, start, [Kind, Kind])
                            || Kind <- [gen_server, gen_statem]],
    ok = ram_links:cut_both(ram_peers:links(Run), [Leader], Others),
    ok = ram_peers:eventually(fun() -> registry(Run, Other, names, []) =:= [] end),
    [{ok, New}, {ok, _}] = [call(Run, Other, ram_named, start, [Kind, Kind])
                            || Kind <- [gen_server, gen_statem]],
    ?assert(call(Run, Leader, ram_holder, is_alive, [Old])),
    ok = ram_peers:heal(Run),
    ok = ram_peers:eventually(fun() -> not call(Run, Leader, ram_holder, is_alive, [Old]) end),
    ok = ram_peers:eventually(fun() ->
        [] =/= [Rev || {ram_event, owner_lost, plain, Rev} <-
                           call(Run, Leader, ram_holder, messages, [Plain])]
    end),
    ok = is_everywhere(Run, gen_server, New),
    ok = is_everywhere(Run, plain, undefined).
