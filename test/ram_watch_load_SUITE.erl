%% Watches under load: what many of them cost writers, and what one of everything is told.
-module(ram_watch_load_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/5]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([ten_thousand_watches_of_different_keys_cost_writers_little/1,
         one_watch_of_everything_under_full_load_is_told_all_in_order/1,
         one_watch_of_everything_is_told_fifty_thousand_puts_a_second_or_that_it_lost/1,
         receivers_that_sleep_hold_up_nobody_and_take_bounded_memory/1]).
%% On a node.
-export([turn/3, watch_each/1, stop_watching/0, puts/3, follow/1, followed/0, sleepers/2]).
-export([follow_groups/0, put_groups/2, groups_told/1]).

-define(KEYS, 10000).
-define(WRITERS, 10).
%% 20 callers that each put 50 keys in one write, 55 times a second: 55,000 puts.
-define(CALLERS, 20).
-define(GROUP, 50).
-define(GROUPS_A_SECOND, 55).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE, [watch_each, follow, groups_told]).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3, [], direct).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

%% Puts of keys that are watched, each by a process of its own, and of keys that are not, by turns,
%% so that both meet the same moods of the machine.
ten_thousand_watches_of_different_keys_cost_writers_little(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    ok = call(Run, Leader, ?MODULE, watch_each, [?KEYS]),
    ?assertMatch({?KEYS, _, _}, call(Run, Leader, ram_listener, sizes, [])),
    Turn = fun(Key) -> call(Run, Leader, ?MODULE, turn, [Key, ?WRITERS, 300]) end,
    _ = {Turn(other), Turn(watched)},
    Pairs = [{Turn(other), Turn(watched)} || _ <- lists:seq(1, ram_case:rounds(20, 60))],
    Slowed = [100 - 100 * With / Without || {{Without, _}, {With, _}} <- Pairs],
    Cost = [100 * With / Without - 100 || {{_, Without}, {_, With}} <- Pairs],
    io:format("slowed by % ~p~nprocessor time more by % ~p~n", [Slowed, Cost]),
    ok = ram_figure:told("processor time of a put that is watched", ram_figure:median(Cost),
                         "% more"),
    ram_figure:at_most("puts slowed by 10,000 watches", ram_figure:median(Slowed), 10, "%").

%% How many puts, and what each cost this node in microseconds of processor time, which depends less
%% than their number on what else the machine does.
turn(Key, Writers, Ms) ->
    {Before, _} = statistics(runtime),
    Count = length(puts(Key, Writers, Ms)),
    {After, _} = statistics(runtime),
    {Count, 1000 * (After - Before) / Count}.

%% A process for each.
watch_each(Count) ->
    Self = self(),
    Holder = spawn(fun() ->
        register(?MODULE, self()),
        Pids = [spawn_link(fun() ->
                                   {ok, _, _} = ram:watch({key, {watched, N}}, #{}),
                                   Self ! {self(), watches},
                                   acknowledge()
                           end) || N <- lists:seq(1, Count)],
        Self ! {self(), Pids},
        receive stop -> exit(stopped) end
    end),
    receive {Holder, Pids} -> [receive {Pid, watches} -> ok end || Pid <- Pids], ok end.

acknowledge() ->
    receive {ram_event, Watch, Rev, _} -> ram:watch_ack(Watch, Rev), acknowledge() end.

stop_watching() ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! stop,
    receive {'DOWN', Monitor, process, _, stopped} -> ok end.

%% The revisions of what so many processes put meanwhile.
puts(Key, Writers, Ms) ->
    End = erlang:monotonic_time(millisecond) + Ms,
    Pids = [spawn_monitor(fun() -> exit({put, put_until(Key, End, [])}) end)
            || _ <- lists:seq(1, Writers)],
    lists:append([receive {'DOWN', Monitor, process, _, {put, Revs}} -> Revs end
                  || {_, Monitor} <- Pids]).

put_until(Key, End, Revs) ->
    {ok, Rev} = ram:put({Key, rand:uniform(?KEYS)}, <<"value">>, #{return => rev}),
    case erlang:monotonic_time(millisecond) >= End of
        true -> [Rev | Revs];
        false -> put_until(Key, End, [Rev | Revs])
    end.

one_watch_of_everything_under_full_load_is_told_all_in_order(Config) ->
    Run = run(Config),
    Follower = hd([1, 2, 3] -- [ram_peers:leader(Run, 1)]),
    Ms = ram_case:amount(2000, 10000),
    [begin
         ok = call(Run, I, ?MODULE, follow, [#{}]),
         Put = call(Run, I, ?MODULE, puts, [key, 50, Ms]),
         Last = lists:max(Put),
         Told = fun() -> {Revs, _} = call(Run, I, ?MODULE, followed, []), hd(Revs) >= Last end,
         ok = ram_peers:eventually(Told),
         {Revs, Most} = call(Run, I, ?MODULE, followed, []),
         ?assertEqual(lists:sort(Put), lists:reverse(Revs)),
         ?assert(Most =< 1024),
         ok = call(Run, I, ?MODULE, stop_watching, []),
         ram_figure:told("events to one watch of everything", length(Put) * 1000 / Ms, "a second")
     end || I <- [ram_peers:leader(Run, 1), Follower]].

follow(Options) ->
    Self = self(),
    Pid = spawn(fun() ->
        register(?MODULE, self()),
        {ok, _, _} = ram:watch(all, Options),
        Self ! {self(), watches},
        follow([0], 0)
    end),
    receive {Pid, watches} -> ok end.

%% The newest first, and the most that was ever in the mailbox.
follow(Revs, Most) ->
    receive
        {ram_event, Watch, Rev, [_]} ->
            {message_queue_len, Length} = process_info(self(), message_queue_len),
            ram:watch_ack(Watch, Rev),
            follow([Rev | Revs], max(Most, Length));
        {followed, From} ->
            From ! {self(), {lists:droplast(Revs), Most}},
            follow(Revs, Most);
        stop ->
            exit(stopped)
    end.

followed() ->
    Pid = whereis(?MODULE),
    Pid ! {followed, self()},
    receive {Pid, {[], Most}} -> {[0], Most}; {Pid, Followed} -> Followed end.

%% As a service writes that has much to write: callers with groups of keys, at a steady rate.
one_watch_of_everything_is_told_fifty_thousand_puts_a_second_or_that_it_lost(Config) ->
    Run = run(Config),
    Follower = hd([1, 2, 3] -- [ram_peers:leader(Run, 1)]),
    Seconds = ram_case:amount(2, 10),
    [begin
         ok = call(Run, I, ?MODULE, follow_groups, []),
         {Put, Ms} = call(Run, I, ?MODULE, put_groups, [?CALLERS, Seconds]),
         Told = call(Run, I, ?MODULE, groups_told, [Put]),
         io:format("~p events in ~p ms; ~p~n", [?GROUP * lists:sum(maps:values(Put)), Ms, Told]),
         ok = call(Run, I, ?MODULE, stop_watching, []),
         ram_figure:at_least("puts a second while one watches everything",
                             ?GROUP * lists:sum(maps:values(Put)) * 1000 / Ms, 50000, "a second")
     end || I <- [ram_peers:leader(Run, 1), Follower]].

%% How many groups each caller put, and in what time.
put_groups(Callers, Seconds) ->
    Begin = erlang:monotonic_time(millisecond),
    Count = Seconds * ?GROUPS_A_SECOND,
    Pids = [spawn_monitor(fun() -> [put_group(Caller, N, Begin) || N <- lists:seq(1, Count)] end)
            || Caller <- lists:seq(1, Callers)],
    [receive {'DOWN', Monitor, process, _, Reason} -> normal = Reason end || {_, Monitor} <- Pids],
    Ms = erlang:monotonic_time(millisecond) - Begin,
    {maps:from_list([{Caller, Count} || Caller <- lists:seq(1, Callers)]), Ms}.

put_group(Caller, N, Begin) ->
    Due = Begin + N * 1000 div ?GROUPS_A_SECOND,
    receive after max(0, Due - erlang:monotonic_time(millisecond)) -> ok end,
    ok = ram:put_many([{{Caller, K}, N} || K <- lists:seq(1, ?GROUP)]).

%% It has to be told every group of every caller, whole, once and in order; or that it lost.
follow_groups() ->
    Self = self(),
    Pid = spawn(fun() ->
        register(?MODULE, self()),
        {ok, _, Rev} = ram:watch(all, #{}),
        Self ! {self(), watches},
        follow_groups(Rev, #{})
    end),
    receive {Pid, watches} -> ok end.

follow_groups(Last, Told) ->
    receive
        {ram_event, _Watch, Rev, lost} when Rev >= Last ->
            follow_groups(lost, Told);
        {ram_event, Watch, Rev, [{put, {Caller, _}, N} | _] = Events} when Rev > Last ->
            ?assertEqual([{put, {Caller, K}, N} || K <- lists:seq(1, ?GROUP)], lists:sort(Events)),
            ?assertEqual(N, maps:get(Caller, Told, 0) + 1),
            ram:watch_ack(Watch, Rev),
            follow_groups(Rev, Told#{Caller => N});
        {told, From, Put} when Told =:= Put; Last =:= lost ->
            From ! {self(), case Last of lost -> lost; _ -> all end},
            follow_groups(Last, Told);
        stop ->
            exit(stopped)
    end.

%% Waits until it was told all of this.
groups_told(Put) ->
    Pid = whereis(?MODULE),
    Monitor = monitor(process, Pid),
    Pid ! {told, self(), Put},
    receive
        {Pid, Told} -> demonitor(Monitor, [flush]), Told;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    after 60000 ->
        error({not_told, Put})
    end.

receivers_that_sleep_hold_up_nobody_and_take_bounded_memory(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    ok = call(Run, Leader, ?MODULE, sleepers, [100, #{events_max => 100, bytes_max => 100000}]),
    ok = call(Run, Leader, ?MODULE, follow, [#{}]),
    Put = call(Run, Leader, ?MODULE, puts, [key, ?WRITERS, 2000]),
    Last = lists:max(Put),
    Told = fun() -> {Revs, _} = call(Run, Leader, ?MODULE, followed, []), hd(Revs) >= Last end,
    ok = ram_peers:eventually(Told),
    {Revs, _} = call(Run, Leader, ?MODULE, followed, []),
    ?assertEqual(lists:sort(Put), lists:reverse(Revs)),
    {_, Waiting, History} = call(Run, Leader, ram_listener, sizes, []),
    ?assert(Waiting =< 100 * 100000),
    ?assert(History =< 16 bsl 20).

sleepers(Count, Options) ->
    Self = self(),
    Pids = [spawn(fun() -> {ok, _, _} = ram:watch(all, Options), Self ! self(),
                           receive never -> ok end
                  end) || _ <- lists:seq(1, Count)],
    [receive Pid -> ok end || Pid <- Pids],
    ok.
