%% Watches while members fail: what is acknowledged is told to each receiver once, in order, or it
%% is told that it lost something.
-module(ram_watch_faults_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, call/5]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([no_change_is_missing_or_told_twice_when_the_leader_is_killed/1,
         a_node_in_a_minority_goes_quiet_and_then_tells_what_was_committed/1,
         a_member_that_stops_ends_its_watches_and_its_history_is_there_after_a_restart/1,
         a_node_that_is_sent_a_snapshot_tells_its_watches_that_they_lost/1,
         a_watcher_has_the_table_whatever_becomes_of_its_member/1,
         a_watcher_that_is_too_slow_goes_on_with_the_history_or_begins_anew/1,
         a_watcher_stops_as_it_says/1]).
%% On the nodes.
-export([count/3, resumed/2, filled/3]).

-define(PRICES, #{table => prices}).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(_Case, Config) ->
    Started = ram_case:start_cluster(Config, 3, [{snapshot_every, 200},
                                                 {watch_history_bytes, 1 bsl 20}]),
    ok = call(ram_case:run(Started), 1, create_table, [prices, #{type => ordered_set}]),
    Started.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

watch(Run, I, Options) ->
    {ok, _Watch, Rev} = call(Run, I, ram_listener, watch, [listener, all, maps:merge(?PRICES,
                                                                                     Options)]),
    Rev.

got(Run, I) ->
    call(Run, I, ram_listener, got, [listener]).

%% Waits until the last of what was sent is this event.
until(Run, I, Event) ->
    IsLast = fun() ->
                     Got = got(Run, I),
                     Got =/= [] andalso element(2, lists:last(Got)) =:= [Event]
             end,
    ok = ram_peers:eventually(IsLast),
    got(Run, I).

stop(Run, I) ->
    ok = call(Run, I, stop, []).

revs(Got) -> [Rev || {Rev, Events} <- Got, is_list(Events)].

%% Puts 1 to N, each key once, and returns the revisions; a put without an answer is left out.
count(Name, From, To) ->
    lists:append([try ram:put({Name, N}, N, ?PRICES#{return => rev}) of
                      {ok, Rev} -> [Rev]
                  catch
                      error:{timeout, _} -> []
                  end || N <- lists:seq(From, To)]).

no_change_is_missing_or_told_twice_when_the_leader_is_killed(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    Others = [1, 2, 3] -- [Leader],
    [watch(Run, I, #{initial => true}) || I <- Others],
    Self = self(),
    Writers = [spawn_link(fun() ->
                                  Self ! {self(), call(Run, I, ?MODULE, count, [{I, N}, 1, 400])}
                          end) || I <- Others, N <- [1, 2, 3]],
    ok = ram_peers:eventually(fun() -> length(revs(got(Run, hd(Others)))) > 200 end),
    ok = ram_peers:kill(Run, Leader),
    Acknowledged = lists:append([receive {Writer, Revs} -> Revs end || Writer <- Writers]),
    ?assert(length(Acknowledged) > 1000),
    ok = call(Run, hd(Others), put, [last, last, ?PRICES]),
    [begin
         Got = until(Run, I, {put, last, last}),
         Revs = revs(Got),
         ?assertEqual(lists:usort(Revs), Revs),
         ?assertEqual([], Acknowledged -- Revs),
         Told = [Event || {_, Events} <- Got, is_list(Events), Event <- Events],
         ?assertEqual(lists:sort([{Key, Value} || {put, Key, Value} <- Told]),
                      lists:sort(call(Run, I, to_list, [?PRICES])))
     end || I <- Others],
    ok.

a_node_in_a_minority_goes_quiet_and_then_tells_what_was_committed(Config) ->
    Run = run(Config),
    Links = ram_peers:links(Run),
    watch(Run, 3, #{}),
    [First] = call(Run, 1, ?MODULE, count, [x, 1, 1]),
    ok = ram_peers:eventually(fun() -> revs(got(Run, 3)) =:= [First] end),
    ok = ram_links:cut_both(Links, [3], [1, 2]),
    More = call(Run, 1, ?MODULE, count, [x, 2, 100]),
    Own = [own, 1, ?PRICES#{timeout => 500}],
    ?assertMatch({timeout, _}, ram_peers:raised(Run, 3, put, Own)),
    ?assertMatch({timeout, _},
                 ram_peers:raised(Run, 3, watch, [all, ?PRICES#{timeout => 500}])),
    ?assertEqual([First], revs(got(Run, 3))),
    ok = ram_links:heal(Links),
    ok = ram_peers:eventually(fun() -> More -- revs(got(Run, 3)) =:= [] end),
    Revs = revs(got(Run, 3)),
    ?assertEqual(lists:usort(Revs), Revs),
    {1, _, _} = call(Run, 3, ram_listener, sizes, []).

a_member_that_stops_ends_its_watches_and_its_history_is_there_after_a_restart(Config) ->
    Run = run(Config),
    watch(Run, 2, #{}),
    Revs = call(Run, 1, ?MODULE, count, [x, 1, 20]),
    ok = ram_peers:eventually(fun() -> revs(got(Run, 2)) =:= Revs end),
    stop(Run, 2),
    Last = lists:last(Revs),
    ?assertEqual({Last, lost}, lists:last(got(Run, 2))),
    ok = call(Run, 2, start, []),
    More = call(Run, 1, ?MODULE, count, [x, 21, 30]),
    ok = call(Run, 2, ram_listener, stop, [listener]),
    %% The log is applied again, and has both.
    Tenth = lists:nth(10, Revs),
    Resumed = fun() -> call(Run, 2, ?MODULE, resumed, [Tenth + 1, length(Revs ++ More) - 10]) end,
    ?assertEqual(lists:nthtail(10, Revs) ++ More, Resumed()).

resumed(From, Count) ->
    {ok, Watch, _} = ram:watch(all, ?PRICES#{from => From}),
    [receive {ram_event, Watch, Rev, [_]} -> Rev end || _ <- lists:seq(1, Count)].

a_node_that_is_sent_a_snapshot_tells_its_watches_that_they_lost(Config) ->
    Run = run(Config),
    Begun = watch(Run, 3, #{}),
    ok = ram_links:cut_both(ram_peers:links(Run), [3], [1, 2]),
    #{applied_index := Applied} = call(Run, 3, status, []),
    Purged = fun() ->
                     _ = call(Run, 1, ?MODULE, count, [x, 1, 300]),
                     lists:all(fun(I) ->
                                       #{purged_index := Index} = call(Run, I, status, []),
                                       Index > Applied
                               end, [1, 2])
             end,
    ok = ram_peers:eventually(Purged),
    ok = ram_links:heal(ram_peers:links(Run)),
    Lost = fun() -> lists:member(lost, [What || {_, What} <- got(Run, 3)]) end,
    ok = ram_peers:eventually(Lost),
    ?assertEqual([{Begun, lost}], got(Run, 3)),
    ?assertMatch({0, 0, _}, call(Run, 3, ram_listener, sizes, [])),
    ?assertMatch({error, {compacted, Oldest}} when Oldest > Begun,
                 call(Run, 3, watch, [all, ?PRICES#{from => Begun + 1}])).

%% Members that restart, a leader that is killed, and a snapshot.
a_watcher_has_the_table_whatever_becomes_of_its_member(Config) ->
    Run = run(Config),
    [_ = call(Run, I, ram_prices, start, [#{initial => true}]) || I <- [1, 2, 3]],
    _ = call(Run, 1, ?MODULE, count, [a, 1, 100]),
    agree(Run, [1, 2, 3]),
    stop(Run, 2),
    ok = call(Run, 2, start, []),
    _ = call(Run, 1, ?MODULE, count, [b, 1, 100]),
    ok = call(Run, 3, delete, [{a, 1}, ?PRICES]),
    agree(Run, [1, 2, 3]),
    ?assertEqual(1, length(call(Run, 2, ram_prices, told, []))),
    Leader = ram_peers:leader(Run, 1),
    ok = ram_peers:kill(Run, Leader),
    Others = [1, 2, 3] -- [Leader],
    _ = call(Run, hd(Others), ?MODULE, count, [c, 1, 100]),
    agree(Run, Others),
    %% Without a member, and then with one again.
    [Asked | _] = Others,
    stop(Run, Asked),
    ?assertEqual(noproc, ram_peers:raised(Run, Asked, get, [x])),
    ok = call(Run, Asked, start, []),
    _ = ram_peers:restart(Run, Leader),
    ok = call(Run, Leader, start, []),
    _ = call(Run, Leader, ?MODULE, count, [d, 1, 50]),
    agree(Run, Others).

agree(Run, Nodes) ->
    Content = maps:from_list(call(Run, hd(Nodes), to_list, [?PRICES])),
    [ok = ram_peers:eventually(fun() -> call(Run, I, ram_prices, all, []) =:= Content end)
     || I <- Nodes],
    ok.

a_watcher_that_is_too_slow_goes_on_with_the_history_or_begins_anew(Config) ->
    Run = run(Config),
    Pid = call(Run, 1, ram_prices, start, [#{initial => true, events_max => 10,
                                             bytes_max => 10000}]),
    agree(Run, [1]),
    ok = call(Run, 1, ?MODULE, filled, [500, 10, Pid]),
    agree(Run, [1]),
    ?assertMatch([{initial_done, _}], call(Run, 1, ram_prices, told, [])),
    ok = call(Run, 1, ?MODULE, filled, [2000, 1000, Pid]),
    agree(Run, [1]),
    ?assertMatch([{initial_done, _}, lost, {initial_done, _}],
                 call(Run, 1, ram_prices, told, [])).

%% So many entries of so many bytes while the process is suspended.
filled(Count, Bytes, Pid) ->
    true = erlang:suspend_process(Pid),
    [ok = ram:put({filled, N}, binary:copy(<<N:32>>, Bytes div 4), ?PRICES)
     || N <- lists:seq(1, Count)],
    true = erlang:resume_process(Pid),
    ok.

a_watcher_stops_as_it_says(Config) ->
    Run = run(Config),
    ?assertEqual(ignore, call(Run, 1, ram_watcher, start_link, [ram_prices, ignored])),
    Pid = call(Run, 1, ram_prices, start, [#{}]),
    Watches = fun(Count) ->
                      fun() -> element(1, call(Run, 1, ram_listener, sizes, [])) =:= Count end
              end,
    ok = ram_peers:eventually(Watches(1)),
    ok = call(Run, 2, put, [stop, enough, ?PRICES]),
    Gone = fun() -> not call(Run, 1, erlang, is_process_alive, [Pid]) end,
    ok = ram_peers:eventually(Gone),
    ok = ram_peers:eventually(Watches(0)),
    _ = call(Run, 1, ram_prices, start, [#{}]),
    ?assertEqual(normal, call(Run, 1, ram_prices, stop, [])).
