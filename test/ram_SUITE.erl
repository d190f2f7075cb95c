%% The operations on keys, on one node and on a running cluster of three.
-module(ram_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, groups/0, suite/0, init_per_group/2, end_per_group/2]).
-export([a_plain_shell_is_a_cluster_of_one/1,
         what_is_put_on_one_node_is_read_on_every_other/1,
         puts_are_read_at_once_on_the_two_others/1,
         any_term_is_a_key_and_a_value/1,
         keys_are_equal_when_they_match_exactly/1,
         fetch_tells_an_absent_key_from_undefined/1,
         delete_removes_on_every_node_and_bears_absence/1,
         update_of_an_absent_key_stores_the_default_without_calling_the_fun/1,
         updates_from_all_nodes_at_once_count_exactly/1,
         an_update_whose_fun_raises_changes_nothing_and_frees_the_turn/1,
         a_large_value_travels_whole/1,
         a_value_over_the_limit_is_refused_with_both_sizes/1,
         a_key_over_the_limit_is_refused_with_the_limit/1,
         a_local_fun_in_a_key_is_badarg_with_an_explanation/1,
         wrong_arguments_are_badarg_with_an_explanation/1,
         a_long_mailbox_does_not_slow_requests_and_gets_no_stray_message/1,
         many_callers_at_once_all_get_their_own_answer/1,
         status_tells_the_same_story_on_every_node/1,
         writes_are_synced_and_applied_on_every_node/1,
         garbage_on_the_port_is_refused_and_counted/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [a_plain_shell_is_a_cluster_of_one, {group, three_nodes}].

groups() ->
    [{three_nodes, [], ram_case:all(?MODULE, [a_plain_shell_is_a_cluster_of_one])}].

init_per_group(three_nodes, Config) ->
    ram_case:start_cluster(Config, 3).

end_per_group(three_nodes, Config) ->
    ram_case:stop(Config).

a_plain_shell_is_a_cluster_of_one(Config) ->
    Dir = filename:join(ram_case:folder(Config), "plain"),
    {ok, Peer, _} = peer:start(#{connection => standard_io,
                                 args => ["-pa" | code:get_path()] ++
                                     ["-ram", "data_dir", "\"" ++ Dir ++ "\""]}),
    ?assertEqual(nonode@nohost, peer:call(Peer, erlang, node, [])),
    ?assertEqual(ok, peer:call(Peer, ram, start_cluster, [[nonode@nohost]])),
    ?assertEqual(ok, peer:call(Peer, ram, put, [key, {any, "term"}])),
    ?assertEqual({any, "term"}, peer:call(Peer, ram, get, [key])),
    ?assertEqual([nonode@nohost], peer:call(Peer, ram, nodes, [])),
    ?assertEqual(ok, peer:call(Peer, ram, stop, [])),
    ?assertEqual(ok, peer:call(Peer, ram, start, [])),
    ?assertEqual({any, "term"}, peer:call(Peer, ram, get, [key])),
    peer:stop(Peer).

what_is_put_on_one_node_is_read_on_every_other(Config) ->
    Run = run(Config),
    [begin
         ok = ram_peers:call(Run, Writer, put, [{from, Writer}, Writer]),
         ?assertEqual(Writer, ram_peers:call(Run, Reader, get, [{from, Writer}]))
     end || Writer <- [1, 2, 3], Reader <- [1, 2, 3]].

puts_are_read_at_once_on_the_two_others(Config) ->
    Run = run(Config),
    Puts = lists:seq(1, ram_case:amount(1000, 10000)),
    lists:foreach(fun(N) -> put_and_read(Run, N) end, Puts).

put_and_read(Run, N) ->
    Writer = 1 + N rem 3,
    ok = ram_peers:call(Run, Writer, put, [at_once, N]),
    [?assertEqual(N, ram_peers:call(Run, Reader, get, [at_once]))
     || Reader <- [1, 2, 3] -- [Writer]].

any_term_is_a_key_and_a_value(Config) ->
    Run = run(Config),
    Terms = [0, -1, 1 bsl 200, 1.5, atom, 'ünïcode', "string", <<>>, <<"binary">>, <<5:3>>, [], {},
             {a, [b | c], #{d => {e}}}, #{}, maps:from_list([{N, N} || N <- lists:seq(1, 100)]),
             fun lists:map/2, make_ref(), self(), undefined, error],
    [begin
         ok = ram_peers:call(Run, 1, put, [{term, Term}, Term]),
         ?assertEqual({ok, Term}, ram_peers:call(Run, 2, fetch, [{term, Term}]))
     end || Term <- Terms].

keys_are_equal_when_they_match_exactly(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [1, integer]),
    ok = ram_peers:call(Run, 2, put, [1.0, float]),
    ?assertEqual(integer, ram_peers:call(Run, 3, get, [1])),
    ?assertEqual(float, ram_peers:call(Run, 3, get, [1.0])),
    %% The same map made in two ways.
    ok = ram_peers:call(Run, 1, put, [#{a => 1, b => 2}, map]),
    ?assertEqual(map, ram_peers:call(Run, 2, get, [maps:put(a, 1, #{b => 2})])).

fetch_tells_an_absent_key_from_undefined(Config) ->
    Run = run(Config),
    ?assertEqual(error, ram_peers:call(Run, 2, fetch, [nothing_here])),
    ?assertEqual(undefined, ram_peers:call(Run, 2, get, [nothing_here])),
    ?assertEqual(default, ram_peers:call(Run, 2, get, [nothing_here, default])),
    ok = ram_peers:call(Run, 1, put, [something_here, undefined]),
    ?assertEqual({ok, undefined}, ram_peers:call(Run, 2, fetch, [something_here])),
    ?assertEqual(undefined, ram_peers:call(Run, 2, get, [something_here, default])).

delete_removes_on_every_node_and_bears_absence(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [short_lived, 1]),
    ok = ram_peers:call(Run, 2, delete, [short_lived]),
    [?assertEqual(error, ram_peers:call(Run, I, fetch, [short_lived])) || I <- [1, 2, 3]],
    ?assertEqual(ok, ram_peers:call(Run, 3, delete, [short_lived])).

update_of_an_absent_key_stores_the_default_without_calling_the_fun(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, update, [updated, 10, fun erlang:'-'/1]),
    ?assertEqual(10, ram_peers:call(Run, 2, get, [updated])),
    ok = ram_peers:call(Run, 2, update, [updated, 10, fun erlang:'-'/1]),
    ?assertEqual(-10, ram_peers:call(Run, 3, get, [updated])).

updates_from_all_nodes_at_once_count_exactly(Config) ->
    Run = run(Config),
    Add = ram_load:spawn_all(Run, [1, 2, 3], 5, fun ram_load:count_up/2, [counted, 40]),
    ok = ram_load:wait_all(Add),
    ?assertEqual(3 * 5 * 40, ram_peers:call(Run, 1, get, [counted])).

an_update_whose_fun_raises_changes_nothing_and_frees_the_turn(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [raising, not_a_number]),
    Update = [raising, 0, fun erlang:'-'/1],
    ?assertEqual(badarith, ram_peers:raised(Run, 1, ram, update, Update)),
    ?assertEqual(not_a_number, ram_peers:call(Run, 2, get, [raising])),
    ok = ram_peers:call(Run, 1, put, [raising, 1]),
    ?assertEqual(ok, ram_peers:call(Run, 1, update, Update)).

a_large_value_travels_whole(Config) ->
    Run = run(Config),
    Hash = ram_peers:call(Run, 1, ram_load, put_random, [large, 15 bsl 20]),
    [?assertEqual(Hash, ram_peers:call(Run, I, ram_load, hash, [large])) || I <- [2, 3]],
    ok = ram_peers:call(Run, 2, delete, [large]).

a_value_over_the_limit_is_refused_with_both_sizes(Config) ->
    Run = run(Config),
    %% Made there: only the refusal is of interest.
    Size = 64 bsl 20,
    Put = fun() -> ram_peers:raised(Run, 2, ram_load, put_binary, [too_large, Size]) end,
    ?assertMatch({value_too_large, Bytes, 16777216} when Bytes > Size, Put()),
    ?assertEqual(error, ram_peers:call(Run, 2, fetch, [too_large])),
    ?assertEqual(ok, ram_peers:call(Run, 2, put, [not_too_large, 1])).

a_key_over_the_limit_is_refused_with_the_limit(Config) ->
    Run = run(Config),
    Key = binary:copy(<<"k">>, 70000),
    ?assertEqual({key_too_large, 65536}, ram_peers:raised(Run, 1, ram, put, [Key, 1])),
    ?assertEqual({key_too_large, 65536}, ram_peers:raised(Run, 1, ram, get, [Key])).

a_local_fun_in_a_key_is_badarg_with_an_explanation(Config) ->
    Run = run(Config),
    Fun = fun() -> local end,
    [?assertEqual({badarg, #{1 => <<"a key must not hold a local fun">>}},
                  ram_peers:call(Run, 1, ram_load, explained, [ram, Function, Arguments]))
     || {Function, Arguments} <- [{put, [{key, Fun}, 1]}, {get, [Fun]}, {delete, [[Fun]]},
                                  {update, [#{k => Fun}, 1, fun erlang:'-'/1]}]].

wrong_arguments_are_badarg_with_an_explanation(Config) ->
    Run = run(Config),
    [?assertMatch({badarg, #{Position := <<_, _/binary>>}},
                  ram_peers:call(Run, 1, ram_load, explained, [ram, Function, Arguments]))
     || {Function, Arguments, Position} <-
            [{update, [k, 1, not_a_fun], 3}, {update, [k, 1, fun erlang:'+'/2], 3},
             {start_cluster, [[]], 1}, {start_cluster, [not_a_list], 1},
             {start_cluster, [["a string"]], 1}, {start_cluster, [[a | b]], 1},
             {start_cluster, [[a], #{storgae => disk}], 2},
             {start_cluster, [[a], [{storage, disk}]], 2},
             {start_cluster, [[a], #{storage => tape}], 2},
             {stop_cluster, [[]], 1}, {add_node, ["string"], 1}, {remove_node, [7], 1}]].

a_long_mailbox_does_not_slow_requests_and_gets_no_stray_message(Config) ->
    Run = run(Config),
    {Empty, Full, Left} = ram_peers:call(Run, 1, ram_load, with_mailbox, [100000, 200]),
    ct:pal("200 puts: ~b us with an empty mailbox, ~b us with 100,000 messages", [Empty, Full]),
    ?assertEqual(100000, Left),
    ?assert(Full < 10 * Empty).

many_callers_at_once_all_get_their_own_answer(Config) ->
    Run = run(Config),
    Callers = ram_load:spawn_all(Run, [1, 2, 3], 200, fun ram_load:put_and_get_own/2, [own, 5]),
    ok = ram_load:wait_all(Callers).

status_tells_the_same_story_on_every_node(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [status, 1]),
    ram_peers:eventually(
      fun() ->
              Statuses = [ram_peers:call(Run, I, status, []) || I <- [1, 2, 3]],
              Shared = [maps:with([cluster, leader, term, members, last_log_index, applied_index,
                                   entries, entry_bytes], without_times(Status))
                        || Status <- Statuses],
              Roles = lists:sort([maps:get(role, Status) || Status <- Statuses]),
              [#{leader := Leader, members := Members}, _, _] = Shared,
              length(lists:usort(Shared)) =:= 1 andalso Roles =:= [follower, follower, leader]
                  andalso lists:member(Leader, ram_peers:nodes(Run))
                  andalso [voter, voter, voter] =:= [S || #{standing := S} <- Members]
                  andalso [Leader] =:= lists:usort([ram_peers:call(Run, I, leader, [])
                                                    || I <- [1, 2, 3]])
      end).

%% When a member was heard of last is a matter of each node.
without_times(#{members := Members} = Status) ->
    Status#{members := [maps:remove(heard_ms, Member) || Member <- Members]}.

writes_are_synced_and_applied_on_every_node(Config) ->
    Run = run(Config),
    Counters = fun() ->
                       [begin
                            #{log := #{syncs := Syncs}, applied_groups := Groups} =
                                ram_peers:call(Run, I, status, []),
                            {Syncs, Groups}
                        end || I <- [1, 2, 3]]
               end,
    %% What came before, and the session of node 1, shall not be counted by those who are late.
    ok = ram_peers:call(Run, 1, put, [synced, 0]),
    [?assertEqual(0, ram_peers:call(Run, I, get, [synced])) || I <- [1, 2, 3]],
    Before = Counters(),
    [ok = ram_peers:call(Run, 1, put, [synced, N]) || N <- lists:seq(1, 50)],
    [?assertEqual(50, ram_peers:call(Run, I, get, [synced])) || I <- [1, 2, 3]],
    Gained = [{SyncsAfter - SyncsBefore, GroupsAfter - GroupsBefore}
              || {{SyncsBefore, GroupsBefore}, {SyncsAfter, GroupsAfter}}
                     <- lists:zip(Before, Counters())],
    {Syncs, Groups} = lists:unzip(Gained),
    ?assertEqual([50, 50, 50], Groups),
    %% Each put is synced by a majority before the next begins. The third node may be late and sync
    %% several at once.
    ?assert(lists:sum(Syncs) >= 2 * 50, Syncs).

garbage_on_the_port_is_refused_and_counted(Config) ->
    Run = run(Config),
    #{address := Address} = ram_peers:call(Run, 1, status, []),
    [Host, Port] = string:split(Address, ":"),
    Send = fun(Bytes) ->
                    {ok, Socket} = gen_tcp:connect(binary_to_list(Host), binary_to_integer(Port),
                                                   [binary, {active, false}]),
                    _ = gen_tcp:send(Socket, Bytes),
                    Closed = gen_tcp:recv(Socket, 0, 10000),
                    gen_tcp:close(Socket),
                    Closed
            end,
    [Send(crypto:strong_rand_bytes(1000)) || _ <- lists:seq(1, 20)],
    Send(<<"GET / HTTP/1.1\r\n\r\n", 0:8000>>),
    ram_peers:eventually(
      fun() ->
              #{net := #{refusals := Refusals}} = ram_peers:call(Run, 1, status, []),
              lists:sum(maps:values(Refusals)) >= 21
      end),
    ?assertEqual(ok, ram_peers:call(Run, 1, put, [after_garbage, 1])).
