%% Ways to read: who answers, how new the answer is, and what is counted.
%%
%% A busy machine may take a lease away for a moment, and a read is answered by a quorum then. So
%% tests ask for a lease until there is one, and never whether an answer is old but when it must not
%% be.
-module(ram_reads_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([by_default_every_node_answers_alone_while_it_holds_a_lease/1,
         what_was_put_on_one_node_is_seen_by_every_other_at_once/1,
         what_one_node_has_shown_is_shown_by_the_others_while_it_is_written_all_the_time/1,
         a_read_of_a_key_that_is_being_written_waits_for_it/1,
         a_follower_that_is_cut_off_never_answers_what_is_old_and_says_why_it_has_no_lease/1,
         the_way_is_taken_that_the_option_of_a_call_names/1,
         a_get_is_one_read_whatever_the_key_holds/1,
         a_node_that_asks_for_no_lease_says_so_and_reads_by_quorum/1,
         a_local_read_needs_no_majority_and_the_others_do/1,
         the_way_to_read_can_be_configured/1,
         options_that_are_unknown_or_wrong_are_badarg_with_an_explanation/1]).
%% On the nodes.
-export([get_many/2, count_up/2]).

-define(MANY, 500).
-define(ROUNDS, ram_case:amount(100, 300)).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    ram_case:start_cluster(Config, 3).

end_per_suite(Config) ->
    ram_case:stop(Config).

cluster(Config, Count, Env) ->
    run(ram_case:start_cluster(Config, Count, Env)).

reads(Run, I) ->
    maps:get(reads, ram_peers:call(Run, I, status, [])).

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, 120000).

get(Run, I, Key) ->
    ram_peers:call(Run, I, get, [Key]).

holds_lease(Run, I) ->
    ram_peers:eventually(fun() -> maps:get(lease, reads(Run, I)) =:= held end).

has_no_lease(Run, I) ->
    ram_peers:eventually(fun() -> maps:get(lease, reads(Run, I)) =/= held end).

%% @doc How many more reads of each kind there are after Fun.
counted(Run, I, Fun) ->
    Before = reads(Run, I),
    _ = Fun(),
    After = reads(Run, I),
    [maps:get(Kind, After) - maps:get(Kind, Before) || Kind <- [local, waited, quorum]].

%%% By lease

by_default_every_node_answers_alone_while_it_holds_a_lease(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [quiet, 1]),
    [begin
         holds_lease(Run, I),
         %% In one of the rounds nothing takes the lease away.
         ram_peers:eventually(
           fun() ->
                   Gets = fun() -> on(Run, I, get_many, [quiet, ?MANY]) end,
                   [?MANY, 0, 0] =:= counted(Run, I, Gets)
           end)
     end || I <- [1, 2, 3]].

get_many(Key, Times) ->
    [1 = ram:get(Key) || _ <- lists:seq(1, Times)],
    ok.

what_was_put_on_one_node_is_seen_by_every_other_at_once(Config) ->
    Run = run(Config),
    [holds_lease(Run, I) || I <- [1, 2, 3]],
    Before = [reads(Run, I) || I <- [1, 2, 3]],
    [begin
         ok = ram_peers:call(Run, 1 + N rem 3, put, [{passed, N rem 7}, N]),
         ?assertEqual([N, N, N], [get(Run, I, {passed, N rem 7}) || I <- [1, 2, 3]])
     end || N <- lists:seq(1, ?ROUNDS)],
    %% And not because a quorum was asked every time.
    [?assert(maps:get(local, After) > maps:get(local, Then) + ?ROUNDS div 2, After)
     || {Then, After} <- lists:zip(Before, [reads(Run, I) || I <- [1, 2, 3]])].

what_one_node_has_shown_is_shown_by_the_others_while_it_is_written_all_the_time(Config) ->
    Run = run(Config),
    Puts = ram_case:amount(600, 2000),
    ok = ram_peers:call(Run, 1, put, [rising, 0]),
    Writers = ram_load:spawn_all(Run, [1], 1, fun ?MODULE:count_up/2, [rising, Puts]),
    Last = lists:foldl(fun(N, Seen) ->
                               Shown = get(Run, 1 + N rem 3, rising),
                               ?assert(Shown >= Seen, {N, Shown, Seen}),
                               Shown
                       end, 0, lists:seq(1, 10 * ?ROUNDS)),
    ?assert(Last > 0),
    ok = ram_load:wait_all(Writers),
    ?assertEqual([Puts, Puts, Puts], [get(Run, I, rising) || I <- [1, 2, 3]]).

count_up(_Number, [Key, Times]) ->
    [ok = ram:put(Key, N) || N <- lists:seq(1, Times)],
    ok.

a_read_of_a_key_that_is_being_written_waits_for_it(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [busy, 1]),
    [holds_lease(Run, I) || I <- [1, 2, 3]],
    Writers = ram_load:spawn_all(Run, [1, 2, 3], 3, fun ?MODULE:count_up/2, [busy, 500]),
    Reads = fun() -> ram_load:wait_all(Writers) end,
    Read = fun() -> [true = get(Run, 2, busy) > 0 || _ <- lists:seq(1, ?ROUNDS)] end,
    [_, Waited, _] = counted(Run, 2, fun() -> Read(), Reads() end),
    ?assert(Waited > 0).

%%% Without a lease

a_follower_that_is_cut_off_never_answers_what_is_old_and_says_why_it_has_no_lease(Config) ->
    Run = cluster(Config, 3, [{call_timeout_ms, 1000}]),
    Leader = ram_peers:leader(Run, 1),
    [Follower, Other] = [1, 2, 3] -- [Leader],
    ok = ram_peers:call(Run, Leader, put, [key, old]),
    holds_lease(Run, Follower),
    ?assertEqual(old, get(Run, Follower, key)),
    #{quorum := Before} = reads(Run, Follower),
    ok = ram_links:cut_both(ram_peers:links(Run), [Follower], [Leader, Other]),
    %% Acknowledged when the lease that the follower may hold is over.
    ok = ram_peers:call(Run, Leader, put, [key, new]),
    ?assertMatch({timeout, _}, ram_peers:raised(Run, Follower, get, [key])),
    #{quorum := After, lease := {absent, Why}} = reads(Run, Follower),
    ?assertEqual(Before + 1, After),
    ?assert(lists:member(Why, [ran_out, no_answer, no_leader, other_vote]), Why),
    ?assertEqual(old, ram_peers:call(Run, Follower, get, [key, none, #{reads => local}])),
    [?assertEqual(new, get(Run, I, key)) || I <- [Leader, Other]],
    ok = ram_peers:heal(Run),
    ram_peers:eventually(fun() -> new =:= get(Run, Follower, key) end),
    holds_lease(Run, Follower),
    ram_peers:stop(Run).

the_way_is_taken_that_the_option_of_a_call_names(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, put, [named, 1]),
    Ask = fun(Reads) ->
                  Options = #{reads => Reads},
                  ?assertEqual({ok, 1}, ram_peers:call(Run, 2, fetch, [named, Options])),
                  ?assertEqual(1, ram_peers:call(Run, 2, get, [named, none, Options]))
          end,
    ?assertEqual([0, 0, 2], counted(Run, 2, fun() -> Ask(quorum) end)),
    ?assertEqual([2, 0, 0], counted(Run, 2, fun() -> Ask(local) end)),
    holds_lease(Run, 2),
    ram_peers:eventually(fun() -> [2, 0, 0] =:= counted(Run, 2, fun() -> Ask(lease) end) end).

a_get_is_one_read_whatever_the_key_holds(Config) ->
    Run = run(Config),
    %% In all ways that the library may answer, its word for "ask in the other way" among them.
    Values = [1, undefined, 'ram fetch', lists:seq(1, 5000), lists:seq(1, 50000)],
    [begin
         ok = ram_peers:call(Run, 1, put, [held, Value]),
         holds_lease(Run, 1),
         %% In one of the rounds nothing takes the lease away.
         ram_peers:eventually(
           fun() ->
                   Get = fun() -> ?assertEqual(Value, get(Run, 1, held)) end,
                   [1, 0, 0] =:= counted(Run, 1, Get)
           end)
     end || Value <- Values],
    GetNothing = fun() ->
                         Default = ram_peers:call(Run, 1, get, [nothing, 'ram fetch']),
                         ?assertEqual('ram fetch', Default)
                 end,
    ram_peers:eventually(fun() -> [1, 0, 0] =:= counted(Run, 1, GetNothing) end).

a_node_that_asks_for_no_lease_says_so_and_reads_by_quorum(Config) ->
    Run = cluster(Config, 2, [{reads, quorum}]),
    ok = ram_peers:call(Run, 1, put, [key, 1]),
    Options = [[key], [key, none, #{}], [key, none, #{reads => lease}]],
    Asked = counted(Run, 2, fun() -> [ram_peers:call(Run, 2, get, Some) || Some <- Options] end),
    ?assertEqual([0, 0, 3], Asked),
    ?assertMatch(#{lease := {absent, not_asked}}, reads(Run, 2)),
    ram_peers:stop(Run).

a_local_read_needs_no_majority_and_the_others_do(Config) ->
    Run = cluster(Config, 3, [{call_timeout_ms, 1000}]),
    ok = ram_peers:call(Run, 1, put, [key, {some, "value"}]),
    ?assertEqual({some, "value"}, get(Run, 2, key)),
    [ok = ram_peers:kill(Run, I) || I <- [1, 3]],
    has_no_lease(Run, 2),
    Local = #{reads => local},
    ?assertEqual({ok, {some, "value"}}, ram_peers:call(Run, 2, fetch, [key, Local])),
    ?assertEqual({some, "value"}, ram_peers:call(Run, 2, get, [key, none, Local])),
    ?assertEqual(none, ram_peers:call(Run, 2, get, [absent, none, Local])),
    ?assertEqual(error, ram_peers:call(Run, 2, fetch, [absent, Local])),
    [?assertMatch({timeout, _}, ram_peers:raised(Run, 2, fetch, [key | Options]))
     || Options <- [[], [#{}], [#{reads => quorum}], [#{reads => lease}]]],
    ok = ram_peers:call(Run, 2, stop, []),
    ?assertEqual(noproc, ram_peers:raised(Run, 2, fetch, [key, Local])),
    ram_peers:stop(Run).

%%% Settings and options

the_way_to_read_can_be_configured(Config) ->
    Run = cluster(Config, 2, [{reads, local}, {call_timeout_ms, 1000}]),
    ok = ram_peers:call(Run, 2, put, [key, 1]),
    ok = ram_peers:kill(Run, 1),
    ?assertEqual(1, get(Run, 2, key)),
    ?assertEqual({ok, 1}, ram_peers:call(Run, 2, fetch, [key, #{}])),
    ?assertMatch({timeout, _}, ram_peers:raised(Run, 2, fetch, [key, #{reads => quorum}])),
    ram_peers:stop(Run),
    [?assertMatch({error, {bad_config, reads, _}}, ram_config:check([{reads, Reads}]))
     || Reads <- [dirty, 1, "lease"]],
    %% Of 200 ms, the longest election timeout, 2 % and a heartbeat of 40 ms are taken away.
    [?assertMatch({_, {error, {bad_config, read_lease_ms, _}}},
                  {Ms, ram_config:check([{read_lease_ms, Ms}])}) || Ms <- [0, 79, 157, soon]],
    [?assertMatch({ok, #{reads := lease}}, ram_config:check([{read_lease_ms, Ms}]))
     || Ms <- [80, 156]].

options_that_are_unknown_or_wrong_are_badarg_with_an_explanation(Config) ->
    Run = run(Config),
    [?assertMatch({badarg, #{Position := <<_, _/binary>>}},
                  ram_peers:call(Run, 1, ram_load, explained, [ram, Function, Arguments]))
     || Options <- [#{read => local}, #{reads => local, x => 1}, #{reads => dirty},
                    #{reads => leases}, [{reads, local}], local],
        {Function, Arguments, Position} <- [{fetch, [key, Options], 2},
                                            {get, [key, none, Options], 3}]],
    Fun = fun() -> local end,
    Key = binary:copy(<<"k">>, 70000),
    [begin
         Options = #{reads => Reads},
         ?assertEqual({badarg, #{1 => <<"a key must not hold a local fun">>}},
                      ram_peers:call(Run, 1, ram_load, explained, [ram, fetch, [{Fun}, Options]])),
         ?assertEqual({key_too_large, 65536}, ram_peers:raised(Run, 1, fetch, [Key, Options]))
     end || Reads <- [lease, quorum, local]].
