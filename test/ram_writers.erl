%% Writers on one node that tell how long that node was without a successful write.
%%
%% Every writer but one puts keys of its own, one after the other, and never the same twice; one
%% counts a key up by updates. None of them catches anything: a call that raises ends the whole
%% with its reason. Times are milliseconds.
-module(ram_writers).

-export([write/4, lost/2]).
-export_type([written/0]).

-type written() :: #{gap_ms := float(), longest_call_ms := float(), counted := non_neg_integer(),
                     puts := non_neg_integer(), acknowledged := [{term(), pos_integer()}]}.

-define(COUNTER, counter).

%% @doc Writes for so long from that many processes. `Round' is the value that is put, so that keys
%% may be used again in another round.
-spec write(term(), pos_integer(), pos_integer(), pos_integer()) -> written().
write(Name, Round, Writers, ForMs) ->
    Begin = now_us(),
    End = Begin + 1000 * ForMs,
    Count = spawn_monitor(fun() -> exit({count, count_up(End, [])}) end),
    Puts = [spawn_monitor(fun() -> exit({puts, W, put_on(Name, Round, W, 1, End, [])}) end)
            || W <- lists:seq(2, Writers)],
    {count, Counts} = ended(Count),
    Lists = [begin {puts, W, Times} = ended(Put), {W, Times} end || Put <- Puts],
    Times = lists:sort(lists:append([Counts | [T || {_, T} <- Lists]])),
    #{gap_ms => longest([Begin | [Done || {Done, _} <- Times]]),
      longest_call_ms => lists:max([0.0 | [Took / 1000 || {_, Took} <- Times]]),
      counted => length(Counts), puts => length(Times) - length(Counts),
      acknowledged => [{{Name, W}, length(T)} || {W, T} <- Lists]}.

%% @doc Which of the acknowledged puts of a round this node does not show.
-spec lost(pos_integer(), [{term(), pos_integer()}]) -> [term()].
lost(Round, Acknowledged) ->
    Readers = [spawn_monitor(fun() -> exit({lost, lost(Round, Writer, From, Last)}) end)
               || {Writer, Last} <- Acknowledged, From <- lists:seq(1, min(20, Last))],
    lists:append([begin {lost, Keys} = ended(Reader), Keys end || Reader <- Readers]).

lost(Round, Writer, From, Last) ->
    [{Writer, N} || N <- lists:seq(From, Last, 20), ram:fetch({Writer, N}) =/= {ok, Round}].

ended({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, Result} -> Result end.

put_on(Name, Round, W, N, End, Times) ->
    case timed(fun() -> ram:put({{Name, W}, N}, Round) end) of
        {Done, _} = Time when Done < End -> put_on(Name, Round, W, N + 1, End, [Time | Times]);
        Time -> [Time | Times]
    end.

count_up(End, Times) ->
    case timed(fun() -> ram:update(?COUNTER, 1, fun(N) -> N + 1 end) end) of
        {Done, _} = Time when Done < End -> count_up(End, [Time | Times]);
        Time -> [Time | Times]
    end.

timed(Write) ->
    Begin = now_us(),
    ok = Write(),
    Done = now_us(),
    {Done, Done - Begin}.

longest([_]) -> 0.0;
longest(Times) ->
    lists:max(lists:zipwith(fun(A, B) -> (B - A) / 1000 end, lists:droplast(Times), tl(Times))).

now_us() -> erlang:monotonic_time(microsecond).
