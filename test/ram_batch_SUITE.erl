%% Several keys at once: all or none.
-module(ram_batch_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_batch_is_one_log_entry_and_read_on_every_node/1,
         nobody_sees_a_part_of_a_batch/1,
         of_a_key_that_comes_twice_the_last_value_stays/1,
         a_batch_with_one_wrong_key_or_value_changes_nothing/1,
         a_batch_over_the_limit_is_refused_with_the_limit/1,
         an_empty_batch_is_ok_and_raises_where_nothing_runs/1,
         what_is_no_list_is_badarg_with_an_explanation/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    Started = ram_case:start(Config, 4),
    _ = ram_case:started(Started, 3),
    Started.

end_per_suite(Config) ->
    ram_case:stop(Config).

a_batch_is_one_log_entry_and_read_on_every_node(Config) ->
    Run = run(Config),
    ok = call(Run, 1, put, [first, so_that_a_session_is_open]),
    #{applied_index := Before} = call(Run, 1, status, []),
    Numbers = lists:seq(1, 2000),
    ok = call(Run, 1, put_many, [[{{many, N}, {value, N}} || N <- Numbers]]),
    [?assertEqual({value, N}, call(Run, I, get, [{many, N}]))
     || I <- [1, 2, 3], N <- [1, 77, 2000]],
    #{applied_index := After} = call(Run, 1, status, []),
    ?assertEqual(Before + 1, After),
    ok = call(Run, 1, delete_many, [[{many, N} || N <- Numbers, N =/= 77]]),
    [?assertEqual([77], [N || N <- [1, 77, 2000], call(Run, I, fetch, [{many, N}]) =/= error])
     || I <- [1, 2, 3]],
    ?assertEqual(After + 1, maps:get(applied_index, call(Run, 1, status, []))).

nobody_sees_a_part_of_a_batch(Config) ->
    Run = run(Config),
    Ms = ram_case:amount(1000, 10000),
    ok = call(Run, 1, put_many, [[{left, 0}, {right, 0}]]),
    Readers = ram_load:spawn_all(Run, [2, 3], 2, fun ram_load:see_both/2, [left, right, Ms + 500]),
    ok = call_load(Run, 1, put_both, [left, right, Ms]),
    ok = ram_load:wait_all(Readers).

call_load(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ram_load, Function, Arguments).

of_a_key_that_comes_twice_the_last_value_stays(Config) ->
    Run = run(Config),
    ok = call(Run, 3, put_many, [[{twice, first}, {other, 1}, {twice, last}]]),
    ?assertEqual(last, call(Run, 1, get, [twice])).

a_batch_with_one_wrong_key_or_value_changes_nothing(Config) ->
    Run = run(Config),
    ?assertEqual(badarg, raised(Run, 1, put_many, [[{good, v}, {fun() -> ok end, v}]])),
    ?assertEqual(badarg, raised(Run, 1, delete_many, [[good, fun() -> ok end]])),
    ?assertMatch({key_too_large, _},
                 raised(Run, 1, put_many, [[{good, v}, {binary:copy(<<7>>, 70000), v}]])),
    ?assertMatch({value_too_large, _, _},
                 ram_peers:raised(Run, 1, ram_load, put_many_binaries, [good, 2, 17 bsl 20])),
    ?assertEqual(error, call(Run, 1, fetch, [{good, 1}])),
    ?assertEqual(error, call(Run, 1, fetch, [good])).

a_batch_over_the_limit_is_refused_with_the_limit(Config) ->
    Run = run(Config),
    Put = fun(Count) ->
                  ram_peers:raised(Run, 1, ram_load, put_many_binaries, [large, Count, 5 bsl 20])
          end,
    ?assertEqual({batch_too_large, (16 bsl 20) + (64 bsl 10)}, Put(4)),
    ?assertEqual(error, call(Run, 1, fetch, [{large, 1}])),
    ?assertEqual({returned, ok}, Put(3)),
    %% A read waits until its node has applied what was acknowledged; status does not.
    {ok, _} = call(Run, 3, fetch, [{large, 3}]),
    #{entry_bytes := Bytes} = call(Run, 3, status, []),
    ?assert(Bytes > 3 * (5 bsl 20)),
    ok = call(Run, 2, delete_many, [[{large, N} || N <- [1, 2, 3]]]).

an_empty_batch_is_ok_and_raises_where_nothing_runs(Config) ->
    Run = run(Config),
    ?assertEqual(ok, call(Run, 1, put_many, [[]])),
    ?assertEqual(ok, call(Run, 1, delete_many, [[]])),
    ?assertEqual(noproc, raised(Run, 4, put_many, [[]])),
    ?assertEqual(noproc, raised(Run, 4, delete_many, [[k]])).

what_is_no_list_is_badarg_with_an_explanation(Config) ->
    Run = run(Config),
    Wrong = [{put_many, key}, {put_many, [{a, b} | c]}, {put_many, [a]}, {put_many, #{a => b}},
             {delete_many, key}, {delete_many, [a | b]}],
    [begin
         {Reason, Why} = call_load(Run, 1, explained, [ram, Function, [Argument]]),
         ?assertMatch({badarg, #{1 := <<"must be a list of", _/binary>>}}, {Reason, Why})
     end || {Function, Argument} <- Wrong].
