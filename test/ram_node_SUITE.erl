%% The process of a member: it answers in every state, whatever it is asked and however long its
%% work takes; and what kills it, or its work, leaves nothing open and nothing broken.
%%
%% A disk that does not answer is a data folder whose lock file is a pipe: who opens it waits until
%% somebody reads from it.
-module(ram_node_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4, data_dir/2]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([status_and_describe_answer_at_once_while_a_member_starts/1,
         status_answers_at_once_while_data_are_erased/1,
         a_request_that_would_wait_too_long_is_refused_and_not_done_later/1,
         start_cluster_waits_for_a_node_that_is_busy_and_says_so_when_it_may_not/1,
         what_is_not_known_is_answered_or_ignored_in_every_state/1,
         a_start_that_crashes_is_a_failure_that_status_tells/1,
         a_process_that_is_killed_while_it_starts_leaves_nothing_open/1,
         a_member_whose_owner_is_killed_serves_again_by_itself/1,
         a_process_that_is_stopped_while_it_starts_leaves_nothing_open/1]).

-export([crowd/0, start_with/1]).

%% A process that blocks takes longer; one that does not takes a hundredth of it.
-define(AT_ONCE_MS, 100).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE, [start_with]).

init_per_testcase(_Case, Config) ->
    ram_case:start(Config, 1).

end_per_testcase(_Case, Config) ->
    unblock(run(Config)),
    ram_case:stop(Config).

%% A cluster of node 1 that holds {k, v}.
started(Config) ->
    ram_case:started(Config, 1, {k, v}).

%% The application starts on a disk that does not answer.
starting(Config) ->
    Run = started(Config),
    ok = call(Run, 1, stop, []),
    block(Run),
    Start = in_background(fun() -> call(Run, 1, start, []) end),
    is_busy(Run, starting),
    {Run, Start}.

status_and_describe_answer_at_once_while_a_member_starts(Config) ->
    {Run, Start} = starting(Config),
    [?assertMatch(#{role := none, reason := busy, work := starting}, at_once(Run, ram, status, []))
     || _ <- lists:seq(1, 10)],
    ?assertEqual({error, {busy, starting}}, at_once(Run, ram_node, describe, [node_1(Run), 0])),
    unblock(Run),
    ?assertEqual(ok, result(Start)),
    %% It has started: nobody has to wait for the member.
    ?assertEqual(v, call(Run, 1, get, [k])).

status_answers_at_once_while_data_are_erased(Config) ->
    Run = started(Config),
    _Identity = unreadable(Run),
    block(Run),
    Stop = in_background(fun() -> call(Run, 1, stop_cluster, [ram_peers:nodes(Run)]) end),
    is_busy(Run, erasing),
    [?assertMatch(#{role := none, reason := busy, work := erasing}, at_once(Run, ram, status, []))
     || _ <- lists:seq(1, 10)],
    unblock(Run),
    ?assertEqual(ok, result(Stop)),
    ?assertMatch(#{role := none, reason := no_cluster}, call(Run, 1, status, [])).

a_request_that_would_wait_too_long_is_refused_and_not_done_later(Config) ->
    {Run, Start} = starting(Config),
    Busy = {error, {busy, starting}},
    ?assertEqual(Busy, request(Run, 300, {erase, any})),
    ?assertEqual([{reply, Busy}], lists:usort(ram_peers:call(Run, 1, ?MODULE, crowd, []))),
    unblock(Run),
    ?assertEqual(ok, result(Start)),
    ?assertEqual(v, call(Run, 1, get, [k])).

start_cluster_waits_for_a_node_that_is_busy_and_says_so_when_it_may_not(Config) ->
    Run = started(Config),
    Identity = unreadable(Run),
    Restart = restarting(Run),
    Nodes = [Node] = ram_peers:nodes(Run),
    ?assertEqual({error, {failed, Node, {busy, starting}}},
                 call(Run, 1, start_cluster, [Nodes, #{wait_ms => 0}])),
    Waits = in_background(fun() -> call(Run, 1, start_cluster, [Nodes]) end),
    ok = file:write_file(member(Run), Identity),
    unblock(Run),
    ?assertEqual([ok, ok], [result(Each) || Each <- [Restart, Waits]]),
    ?assertEqual(v, call(Run, 1, get, [k])).

what_is_not_known_is_answered_or_ignored_in_every_state(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start, []),
    is_unmoved(Run),                                                       % blank
    Run = started(Config),
    is_unmoved(Run),                                                       % serving
    Identity = unreadable(Run),
    is_unmoved(Run),
    Restart = restarting(Run),
    is_unmoved(Run),                                                       % starting
    ok = file:write_file(member(Run), Identity),
    unblock(Run),
    ?assertEqual(ok, result(Restart)),
    ?assertEqual(v, call(Run, 1, get, [k])).

%% The application runs on a folder whose identity was overwritten; it is returned.
unreadable(Run) ->
    ok = call(Run, 1, stop, []),
    {ok, Identity} = file:read_file(member(Run)),
    ok = file:write_file(member(Run), "no identity"),
    ok = call(Run, 1, start, []),
    ?assertMatch(#{role := down, failure := {unreadable, _}}, call(Run, 1, status, [])),
    Identity.

restarting(Run) ->
    block(Run),
    Restart = in_background(fun() -> call(Run, 1, restart_server, []) end),
    is_busy(Run, starting),
    Restart.

member(Run) -> filename:join(data_dir(Run, 1), "member").

%% Words of another version, of nobody, and of the protocols of processes.
is_unmoved(Run) ->
    Process = process(Run),
    Unknown = {error, unknown_request},
    [?assertEqual(Unknown, ram_peers:call(Run, 1, gen_server, call, [ram_node, Request]))
     || Request <- [unknown, {join, 1, 2, 3, 4},
                    {request, -1, describe}, {request, later, describe}, {request, 1000, unknown},
                    {request, 1000, {join, <<"short">>, disk, self()}},
                    {request, 1000, {join, rand:bytes(16), tape, self()}},
                    {request, 1000, {join, rand:bytes(16), disk, nobody}},
                    {request, 1000, {erase, all}}, {request, 1000, {set_aside, <<>>}},
                    {request, 1000, {cancel_join, no_cluster}},
                    {request, 1000, {recover, <<>>, rand:bytes(16)}}]],
    [ok = ram_peers:call(Run, 1, gen_server, cast, [ram_node, Message])
     || Message <- [unknown, {joined, unknown}, {address, <<>>, 1, <<>>},
                    {address, cluster(Run), -1, <<255>>}, {address, cluster(Run), 1, nowhere}]],
    [ram_peers:call(Run, 1, erlang, send, [ram_node, Message])
     || Message <- [unknown, {'$gen_call', nobody, status}, {'$gen_call', {nobody, 1}, status},
                    {'$gen_cast', unknown}, {'EXIT', Process, killed}, {'EXIT', nobody, normal},
                    {'DOWN', make_ref(), process, Process, killed}, {nodedown, nobody, []},
                    {nodeup, nobody, []}, {ram_owner, Process, {done, ok}},
                    {ram_owner, Process, {event, removed}}, {ram_member, removed},
                    {ram_member, {failed, <<"not said by a member">>}},
                    {timeout, make_ref(), {refuse, nobody}}, retry, check_name]],
    ?assertEqual(Process, process(Run)),
    ?assertMatch(#{node := _}, call(Run, 1, status, [])),
    ?assertEqual(Process, process(Run)).

cluster(Run) ->
    case call(Run, 1, status, []) of
        #{cluster := Cluster} -> Cluster;
        _ -> rand:bytes(16)
    end.

%% The settings lack what the library needs: its call raises badarg.
a_start_that_crashes_is_a_failure_that_status_tells(Config) ->
    Run = started(Config),
    ok = call(Run, 1, stop, []),
    {ok, Settings} = ram_peers:call(Run, 1, ram_config, read, []),
    Lacking = maps:remove(queue_bytes_max, Settings),
    Starter = ram_peers:call(Run, 1, ?MODULE, start_with, [Lacking]),
    ram_peers:eventually(fun() -> maps:is_key(failure, call(Run, 1, status, [])) end),
    #{role := down, failure := {failed, Text}} = call(Run, 1, status, []),
    ?assertNotEqual(nomatch, binary:match(Text, <<"badarg">>)),
    ?assert(is_pid(process(Run))),
    ?assertMatch({error, {failed, _}}, ram_peers:call(Run, 1, ram_node, restart, [])),
    true = ram_peers:call(Run, 1, erlang, exit, [Starter, kill]),
    ram_peers:eventually(fun() -> process(Run) =:= undefined end),
    ok = call(Run, 1, start, []),
    ?assertEqual(v, call(Run, 1, get, [k])).

a_process_that_is_killed_while_it_starts_leaves_nothing_open(Config) ->
    {Run, Start} = starting(Config),
    true = ram_peers:call(Run, 1, erlang, exit, [process(Run), kill]),
    ram_peers:eventually(fun() -> is_pid(process(Run)) end),
    unblock(Run),
    ?assertEqual(ok, result(Start)),
    ram_peers:eventually(fun() -> call(Run, 1, get, [k]) =:= v end),
    is_released(Run).

%% By its supervisor: the member that comes of the start is stopped in good order.
a_process_that_is_stopped_while_it_starts_leaves_nothing_open(Config) ->
    {Run, Start} = starting(Config),
    Process = process(Run),
    Stop = in_background(fun() ->
                                 ram_peers:call(Run, 1, supervisor, terminate_child,
                                                [ram_sup, ram_node])
                         end),
    ram_peers:eventually(fun() ->
                                 {current_function, {ram_member, opened, 1}} =:=
                                     ram_peers:call(Run, 1, erlang, process_info,
                                                    [Process, current_function])
                         end),
    unblock(Run),
    ?assertEqual([ok, ok], [result(Each) || Each <- [Start, Stop]]),
    {ok, _} = ram_peers:call(Run, 1, supervisor, restart_child, [ram_sup, ram_node]),
    ?assertEqual(ok, ram_peers:call(Run, 1, ram_node, await, [])),
    ?assertEqual(v, call(Run, 1, get, [k])).

%% Nobody has the folder when the application has stopped: another start serves from it.
is_released(Run) ->
    _ = call(Run, 1, stop, []),
    ok = call(Run, 1, start, []),
    ?assertEqual(v, call(Run, 1, get, [k])).

a_member_whose_owner_is_killed_serves_again_by_itself(Config) ->
    Run = started(Config),
    Process = process(Run),
    Owner = owner(Run),
    true = ram_peers:call(Run, 1, erlang, exit, [Owner, kill]),
    ram_peers:eventually(fun() -> owner(Run) =/= Owner end),
    ?assertEqual(ok, ram_peers:call(Run, 1, ram_node, await, [])),
    ?assertEqual(Process, process(Run)),
    ?assertEqual(v, call(Run, 1, get, [k])),
    %% What the library says of its failure comes to the new owner.
    ok = ram_peers:file_limit(Run, 1, 1 bsl 20),
    _ = raised(Run, 1, put, [large, binary:copy(<<7>>, 4 bsl 20)]),
    ram_peers:eventually(fun() ->
                                 #{running := Runs} = ram_peers:call(Run, 1, ram_node, describe,
                                                                     [node_1(Run)]),
                                 not Runs
                         end),
    ok = ram_peers:file_limit(Run, 1, unlimited),
    ?assertEqual(ok, call(Run, 1, restart_server, [])),
    ?assertEqual(v, call(Run, 1, get, [k])).

%% The other process that it is linked to is its supervisor.
owner(Run) ->
    {links, Links} = ram_peers:call(Run, 1, erlang, process_info, [process(Run), links]),
    [Owner] = Links -- [ram_peers:call(Run, 1, erlang, whereis, [ram_sup])],
    Owner.

%%% What runs on the node

%% The answers to those that are too many.
crowd() ->
    Asked = [gen_server:send_request(ram_node, {request, 60000, {erase, 1}})
             || _ <- lists:seq(1, 1003)],
    [gen_server:wait_response(Each, 5000) || Each <- lists:nthtail(1000, Asked)].

%% A process of its own is the parent.
start_with(Settings) ->
    Caller = self(),
    Starter = spawn(fun() ->
                            {ok, _} = ram_member:start_link(Settings),
                            Caller ! {started, self()},
                            receive never -> ok end
                    end),
    receive {started, Starter} -> Starter end.

%%% The node and its disk

node_1(Run) -> ram_peers:node(Run, 1).

process(Run) -> ram_peers:call(Run, 1, erlang, whereis, [ram_node]).

request(Run, WaitMs, Request) ->
    ram_peers:call(Run, 1, gen_server, call, [ram_node, {request, WaitMs, Request}, 60000]).

%% Within the bound; so long that a machine with other work does not fail it.
at_once(Run, Module, Function, Arguments) ->
    {Us, Result} = ram_peers:call(Run, 1, timer, tc, [Module, Function, Arguments]),
    ok = ram_figure:at_most("a busy member is asked: answer", Us / 1000, ?AT_ONCE_MS, "ms"),
    Result.

is_busy(Run, Work) ->
    ram_peers:eventually(fun() ->
                                 #{work := Found} = call(Run, 1, status, []),
                                 Found =:= Work
                         end).

lock(Run) -> filename:join(data_dir(Run, 1), "lock").

block(Run) ->
    ok = file:delete(lock(Run)),
    "" = os:cmd("mkfifo " ++ lock(Run)),
    ok.

%% Those that wait go on. The pipe goes with them: it is named by nobody any more.
unblock(Run) ->
    case file:read_link_info(lock(Run)) of
        {ok, Info} when element(3, Info) =:= other ->
            Name = lock(Run) ++ ".pipe",
            ok = file:rename(lock(Run), Name),
            "" = os:cmd("timeout 10 cat " ++ Name ++ " >/dev/null 2>&1 &"),
            ok;
        _ ->
            ok
    end.

in_background(Fun) ->
    spawn_monitor(fun() -> exit({result, Fun()}) end).

result({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
            {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    after 60000 -> error(hangs)
    end.
