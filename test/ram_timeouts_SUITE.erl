%% Nodes whose election timeouts differ, and change when a node starts again: no lease rests on
%% them being equal.
%%
%% What is old is counted on a leader that was cut off: reads that began after another value was
%% acknowledged to somebody else, by the clock that all processes of a machine share.
-module(ram_timeouts_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0]).
-export([a_leader_with_longer_timeouts_than_the_others_shows_nothing_old_when_it_is_cut_off/1,
         a_node_started_again_with_shorter_timeouts_keeps_what_it_promised_under_longer_ones/1,
         timeouts_change_node_by_node_and_back_without_an_error_or_an_old_answer/1]).
%% On the nodes.
-export([read_while_old/3]).

-define(LONG, {1000, 2000}).
-define(SHORT, {120, 200}).
-define(ROUNDS, ram_case:amount(1, 4)).
%% Longer than any lease.
-define(READ_MS, 10000).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE).

cluster(Config, Timeouts) ->
    Env = [{call_timeout_ms, 10000}],
    Run = ram_peers:start(length(Timeouts), ram_case:folder(Config), Env),
    [set(Run, I, Some) || {I, Some} <- lists:enumerate(Timeouts)],
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    Run.

set(Run, I, Timeouts) ->
    ok = ram_peers:call(Run, I, application, set_env, [ram, election_timeout_ms, Timeouts]).

%% The virtual machine stays: nothing is as quick.
start_again(Run, I, Timeouts) ->
    ok = ram_peers:call(Run, I, stop, []),
    set(Run, I, Timeouts),
    ok = ram_peers:call(Run, I, start, []).

a_leader_with_longer_timeouts_than_the_others_shows_nothing_old_when_it_is_cut_off(Config) ->
    Run = cluster(Config, [?LONG, ?SHORT, ?SHORT]),
    [begin
         lead(Run, 1),
         Old = old_reads_of_a_lost_leader(Run, 1, fun() -> ok end),
         ?assertEqual({Round, 0}, {Round, Old})
     end || Round <- lists:seq(1, ?ROUNDS)],
    ram_peers:stop(Run).

%% In the middle of a change from longer timeouts to shorter ones.
a_node_started_again_with_shorter_timeouts_keeps_what_it_promised_under_longer_ones(Config) ->
    [begin
         Run = cluster(Config, [?LONG, ?LONG, ?LONG]),
         Leader = ram_peers:leader(Run, 1),
         Others = [1, 2, 3] -- [Leader],
         Again = fun() -> [start_again(Run, I, ?SHORT) || I <- Others] end,
         ?assertEqual({Round, 0}, {Round, old_reads_of_a_lost_leader(Run, Leader, Again)}),
         ram_peers:stop(Run)
     end || Round <- lists:seq(1, ?ROUNDS)].

timeouts_change_node_by_node_and_back_without_an_error_or_an_old_answer(Config) ->
    Run = cluster(Config, [?LONG, ?LONG, ?LONG]),
    Change = fun({I, Timeouts}, Last) ->
                     Restarting = spawn_monitor(fun() -> start_again(Run, I, Timeouts) end),
                     Next = write_and_read_until(Restarting, Run, [1, 2, 3] -- [I], Last + 1),
                     ?assertEqual({I, Next}, {I, ram_peers:call(Run, I, get, [rising])}),
                     Next
             end,
    Changes = [{I, Timeouts} || Timeouts <- [?SHORT, ?LONG], I <- [1, 2, 3]],
    Last = lists:foldl(Change, 0, Changes),
    ?assert(Last > length(Changes)),
    ram_peers:stop(Run).

%% What one node has put both show.
write_and_read_until({Pid, Monitor} = Restarting, Run, [A, B] = Others, N) ->
    ok = ram_peers:call(Run, A, put, [rising, N]),
    ?assertEqual([N, N], [ram_peers:call(Run, I, get, [rising]) || I <- [B, A]]),
    receive
        {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason), N
    after 0 ->
            write_and_read_until(Restarting, Run, lists:reverse(Others), N + 1)
    end.

%% Others start again until it is this node's turn to lead.
lead(Run, I) ->
    ram_peers:eventually(
      fun() ->
              case ram_peers:leader(Run, I) of
                  I -> true;
                  Other -> start_again(Run, Other, ?SHORT), false
              end
      end).

%% @doc Cuts the leader off while it is read, does what is to be done to the others, puts a new
%% value there, and returns how many reads were old after that.
old_reads_of_a_lost_leader(Run, Leader, Meanwhile) ->
    [Other, _] = Others = [1, 2, 3] -- [Leader],
    ok = ram_peers:call(Run, Leader, put, [key, old]),
    ram_peers:eventually(fun() -> holds_lease(Run, Leader) end),
    Read = fun() ->
                   Arguments = [key, old, ?READ_MS],
                   exit(ram_peers:call(Run, Leader, ?MODULE, read_while_old, Arguments))
           end,
    {Pid, Monitor} = spawn_monitor(Read),
    Begun = reads_by_lease(Run, Leader),
    ram_peers:eventually(fun() -> reads_by_lease(Run, Leader) > Begun end),
    ok = ram_links:cut_both(ram_peers:links(Run), [Leader], Others),
    _ = Meanwhile(),
    ok = ram_peers:call(Run, Other, put, [key, new]),
    AcknowledgedMs = now_ms(),
    ram_peers:eventually(fun() -> not holds_lease(Run, Leader) end),
    ok = ram_peers:heal(Run),
    receive
        {'DOWN', Monitor, process, Pid, Counts} when is_map(Counts) ->
            lists:sum([Count || {Ms, Count} <- maps:to_list(Counts), Ms > AcknowledgedMs]);
        {'DOWN', Monitor, process, Pid, Reason} ->
            ct:fail(Reason)
    after 60_000 ->
            ct:fail("the reader does not end")
    end.

reads(Run, I) ->
    maps:get(reads, ram_peers:call(Run, I, status, [])).

holds_lease(Run, I) ->
    maps:get(lease, reads(Run, I)) =:= held.

reads_by_lease(Run, I) ->
    maps:get(local, reads(Run, I)).

%% @doc Reads until the answer is another; how many reads began in each millisecond.
read_while_old(Key, Old, Ms) ->
    read_while_old(Key, Old, now_ms() + Ms, #{}).

read_while_old(Key, Old, UntilMs, Counts) ->
    BegunMs = now_ms(),
    case ram:get(Key) of
        Old when BegunMs < UntilMs ->
            Count = maps:get(BegunMs, Counts, 0),
            read_while_old(Key, Old, UntilMs, Counts#{BegunMs => Count + 1});
        _ ->
            Counts
    end.

now_ms() ->
    ram_torture_client:now_ns() div 1000000.
