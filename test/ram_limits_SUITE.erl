%% Limits: what a node may write, every member can store, send, apply and put into a snapshot,
%% whatever that member itself is set to; and what cannot be is refused before it does harm.
-module(ram_limits_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, started/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([settings_that_cannot_work_together_are_refused_at_start_with_the_number_that_would_do/1,
         a_value_of_70_mb_is_put_through_a_follower_read_everywhere_and_survives_a_restart/1,
         what_a_member_with_larger_limits_writes_is_taken_by_all_and_no_connection_is_refused/1,
         a_follower_that_was_away_for_many_large_puts_catches_up/1,
         millions_of_deletes_in_few_calls_cost_little_and_all_members_start_again/1]).
%% Run on the nodes.
-export([delete_absent/1]).

-define(KIB, 1024).
-define(MIB, (1 bsl 20)).
-define(DELETES, 2000000).
%% The keys and the call are the caller's: 200 MiB. What is in the queues, in the log and on its way
%% to others is 16 MiB a call, some times over.
-define(DELETES_BYTES_MAX, (700 * ?MIB)).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE, [delete_absent]).

init_per_testcase(Case, Config) ->
    Count = case atom_to_list(Case) of "millions" ++ _ -> 5; _ -> 3 end,
    ram_case:start(Config, Count, settings(Case), direct).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

settings(Case) ->
    case atom_to_list(Case) of
        "a_value_of_70_mb" ++ _ ->
            %% A busy disk takes seconds for such a value: docs/guide/limits.md.
            [{value_bytes_max, 100000000}, {queue_bytes_max, 128 * ?MIB},
             {frame_bytes_max, 128 * ?MIB}, {call_timeout_ms, 60000},
             {election_timeout_ms, {2000, 4000}}];
        "what_a_member" ++ _ ->
            [{value_bytes_max, ?MIB}, {frame_bytes_max, 2 * ?MIB}];
        "a_follower" ++ _ ->
            [{value_bytes_max, ?MIB}, {frame_bytes_max, 2 * ?MIB}];
        "millions" ++ _ ->
            [{snapshot_every, 50}, {call_timeout_ms, 60000}];
        _ ->
            []
    end.

settings_that_cannot_work_together_are_refused_at_start_with_the_number_that_would_do(Config) ->
    Run = run(Config),
    %% The key that is named, the settings, and the number that would do.
    Wrong = [{value_bytes_max, [{queue_bytes_max, 1 bsl 30}, {value_bytes_max, 300000000}],
              268337120},
             {value_bytes_max, [{queue_bytes_max, 1 bsl 30}, {key_bytes_max, 200000000},
                                {value_bytes_max, 100000000}], 68402656},
             {key_bytes_max, [{queue_bytes_max, 1 bsl 30}, {key_bytes_max, 268402656},
                              {value_bytes_max, 1}], 268402655},
             {batch_bytes_max, [{batch_bytes_max, 268402689}], 268402688},
             {queue_bytes_max, [{queue_bytes_max, 16 * ?MIB}], 16842784},
             {frame_bytes_max, [{frame_bytes_max, 1000}], 65536},
             {queue_requests_max, [{queue_requests_max, 1 bsl 60}], 1 bsl 53},
             {snapshot_every, [{snapshot_every, 1 bsl 70}], 1 bsl 53},
             {call_timeout_ms, [{call_timeout_ms, 1 bsl 33}], 604800000}],
    [begin
         ?assertMatch({Settings, {ram, {{bad_config, Named, _}, _}}},
                      {Settings, started_with(Run, Settings)}),
         {ram, {{bad_config, Named, Why}, _}} = started_with(Run, Settings),
         Number = integer_to_binary(Would),
         ?assertMatch({Named, _, {_, _}},
                      {Named, Why, binary:match(Why, Number)}),
         ?assertEqual({returned, ok},
                      started_with(Run, lists:keystore(Named, 1, Settings, {Named, Would})))
     end || {Named, Settings, Would} <- Wrong].

%% What starting the application with these settings raises or returns; it is stopped again.
started_with(Run, Settings) ->
    [ok = ram_peers:call(Run, 1, application, set_env, [ram, Key, Value])
     || {Key, Value} <- Settings],
    Told = ram_peers:raised(Run, 1, start, []),
    _ = ram_peers:call(Run, 1, application, stop, [ram]),
    [ok = ram_peers:call(Run, 1, application, unset_env, [ram, Key]) || {Key, _} <- Settings],
    Told.

a_value_of_70_mb_is_put_through_a_follower_read_everywhere_and_survives_a_restart(Config) ->
    Run = started(Config),
    [Follower | _] = [1, 2, 3] -- [ram_peers:leader(Run, 1)],
    Hash = ram_peers:call(Run, Follower, ram_load, put_random, [large, 70000000], 120000),
    ?assertEqual([Hash, Hash, Hash], hashes(Run, large)),
    [ok = ram_peers:halt(Run, I) || I <- [1, 2, 3]],
    [ram_peers:restart(Run, I) || I <- [1, 2, 3]],
    ?assertEqual([Hash, Hash, Hash], hashes(Run, large)).

hashes(Run, Key) ->
    [ram_peers:call(Run, I, ram_load, hash, [Key], 120000) || I <- [1, 2, 3]].

what_a_member_with_larger_limits_writes_is_taken_by_all_and_no_connection_is_refused(Config) ->
    Run = run(Config),
    [ok = ram_peers:call(Run, 3, application, set_env, [ram, Key, Bytes])
     || {Key, Bytes} <- [{value_bytes_max, 16 * ?MIB}, {frame_bytes_max, 64 * ?MIB}]],
    Run = started(Config),
    %% Through the member itself, whoever leads, and later when it leads or another does.
    Hash = ram_peers:call(Run, 3, ram_load, put_random, [large, 10000000]),
    ?assertEqual([Hash, Hash, Hash], hashes(Run, large)),
    ?assertEqual({value_too_large, 10000006, ?MIB},
                 ram_peers:raised(Run, 1, ram_load, put_binary, [other, 10000000])),
    [ok = ram_peers:call(Run, I, put, [{still, I}, I]) || I <- [1, 2, 3]],
    [?assertEqual({I, undefined}, {I, refused(Run, I)}) || I <- [1, 2, 3]].

%% How many connections a node refused for what came on them.
refused(Run, I) ->
    #{net := #{refusals := Refusals}} = ram_peers:call(Run, I, status, []),
    maps:get(bad_frame, Refusals, undefined).

a_follower_that_was_away_for_many_large_puts_catches_up(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    [Away | _] = [1, 2, 3] -- [Leader],
    ok = ram_peers:halt(Run, Away),
    [ok = ram_peers:call(Run, Leader, ram_load, put_binary, [{k, N}, 900 * ?KIB])
     || N <- lists:seq(1, 40)],
    ram_peers:restart(Run, Away),
    Applied = fun(I) -> maps:get(applied_index, ram_peers:call(Run, I, status, [])) end,
    ram_peers:eventually(fun() -> Applied(Away) >= Applied(Leader) end),
    ?assertEqual(900 * ?KIB, byte_size(ram_peers:call(Run, Away, get, [{k, 40}]))).

%% Each session remembered an answer for every delete; a snapshot held them in one block, which
%% nobody could read.
millions_of_deletes_in_few_calls_cost_little_and_all_members_start_again(Config) ->
    Run = started(Config),
    All = ram_peers:members(Run),
    [ok = ram_peers:call(Run, I, put, [I, first]) || I <- All],
    Before = [ram_peers:memory(Run, I, "VmRSS:") || I <- All],
    [ok = ram_peers:call(Run, I, ?MODULE, delete_absent, [?DELETES]) || I <- All],
    Most = [ram_peers:memory(Run, I, "VmHWM:") || I <- All],
    ct:pal("resident MiB before ~w, at most ~w", [[B div ?MIB || B <- L] || L <- [Before, Most]]),
    until_all_have_a_snapshot(Run, [ram_peers:data_dir(Run, I) || I <- All], 1),
    [ok = ram_peers:halt(Run, I) || I <- All],
    [ram_peers:restart(Run, I) || I <- All],
    [?assertEqual({I, first}, {I, ram_peers:call(Run, I, get, [I])}) || I <- All],
    [?assert(Peak - Start =< ?DELETES_BYTES_MAX) || {Start, Peak} <- lists:zip(Before, Most)].

until_all_have_a_snapshot(Run, Folders, N) when N < 20000 ->
    ok = ram_peers:call(Run, 1, put, [snapshot, N]),
    case [Folder || Folder <- Folders, filelib:wildcard("*.snap", Folder) =:= []] of
        [] -> ok;
        _ -> until_all_have_a_snapshot(Run, Folders, N + 1)
    end.

delete_absent(Count) ->
    ram:delete_many(lists:seq(100, 99 + Count)).
