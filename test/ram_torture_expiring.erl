%% Keys with a time to live, in a torture run: they are put with one or without, touched, and got,
%% and nobody deletes them. A workload of ram_torture_client, whose files have a line before each
%% call and a line after it; times are milliseconds, `-' is none:
%%
%%     i OP timed put KEY VALUE TTL T | i OP timed touch KEY TTL T | i OP timed get KEY T
%%     i OP timed settled BOUND T
%%     r OP ok T | r OP ok touched yes T | r OP ok found VALUE T | r OP ok term TERM T
%%
%% Most calls are reads, so that a key that goes too soon, or not on every node at once, is seen. At
%% the end, when all faults are healed, a key that was put for good is given a time, and all are
%% waited for; whoever is told the term before and after knows that one leader led all the while.
-module(ram_torture_expiring).
-behaviour(ram_torture_client).

-export([create/1, opening/0, operation/2, last/2, words/1, answer/2, perform/1]).

-type ttl() :: pos_integer() | infinity.
-type operation() :: {put, binary(), binary(), ttl()} | {touch, binary(), ttl()} | {get, binary()}
                   | {settled, pos_integer()}.

-define(TABLE, #{table => expiring}).
-define(EPOCH_NS, 10000000000).
-define(KEYS_AT_ONCE, 40).
-define(TTL_MS_MIN, 200).
-define(TTL_MS_MAX, 2000).
%% Beyond the time of a key: what is promised, with the default timeouts of elections.
-define(LATE_MS, (2 * 200 + 2000)).
-define(LOOK_AGAIN_MS, 100).

-spec create(integer()) -> ok.
create(Seed) ->
    Type = case Seed rem 3 of 0 -> ordered_set; _ -> set end,
    ok = ram:create_table(expiring, #{type => Type}).

-spec opening() -> [operation()].
opening() -> [].

-spec operation(string(), non_neg_integer()) -> operation().
operation(Client, PassedNs) ->
    Key = key(PassedNs div ?EPOCH_NS, rand:uniform(?KEYS_AT_ONCE)),
    case rand:uniform(100) of
        1 -> {put, Key, value(Client, PassedNs), infinity};
        N when N =< 5 -> {put, Key, value(Client, PassedNs), ttl_ms()};
        6 -> {touch, Key, infinity};
        N when N =< 9 -> {touch, Key, ttl_ms()};
        _ -> {get, Key}
    end.

ttl_ms() -> ?TTL_MS_MIN + rand:uniform(?TTL_MS_MAX - ?TTL_MS_MIN).

value(Client, PassedNs) -> iolist_to_binary([Client, $-, integer_to_binary(PassedNs)]).

key(Epoch, N) -> iolist_to_binary(io_lib:format("t~b.~b", [Epoch, N])).

%% @doc Sees that all keys go.
-spec last(ram_torture_client:ask(), non_neg_integer()) -> ok.
last(Ask, PassedNs) ->
    LateMs = ram_case:amount(10, 1) * ?LATE_MS,
    _ = Ask({settled, LateMs}),
    Keys = [key(Epoch, N) || Epoch <- lists:seq(0, PassedNs div ?EPOCH_NS),
                             N <- lists:seq(1, ?KEYS_AT_ONCE)],
    Left = [Key || Key <- Keys, Ask({get, Key}) =/= {ok, absent}],
    [_ = Ask({touch, Key, ?TTL_MS_MIN}) || Key <- Left, is_for_good(Key)],
    Until = erlang:monotonic_time(millisecond) + 2 * ?TTL_MS_MAX + LateMs,
    gone(Ask, Left, Until),
    _ = Ask({settled, LateMs}),
    ok.

is_for_good(Key) ->
    try ram:ttl(Key, ?TABLE) =:= {ok, infinity}
    catch error:{timeout, _} -> false
    end.

%% Whether they went in time is for the checker to say.
gone(_Ask, [], _Until) ->
    ok;
gone(Ask, Keys, Until) ->
    Left = [Key || Key <- Keys, Ask({get, Key}) =/= {ok, absent}],
    case erlang:monotonic_time(millisecond) < Until of
        true -> receive after ?LOOK_AGAIN_MS -> gone(Ask, Left, Until) end;
        false -> ok
    end.

-spec words(operation()) -> [binary()].
words({put, Key, Value, Ttl}) -> [<<"timed">>, <<"put">>, Key, Value, ttl(Ttl)];
words({touch, Key, Ttl}) -> [<<"timed">>, <<"touch">>, Key, ttl(Ttl)];
words({get, Key}) -> [<<"timed">>, <<"get">>, Key];
words({settled, BoundMs}) -> [<<"timed">>, <<"settled">>, integer_to_binary(BoundMs)].

ttl(infinity) -> <<"-">>;
ttl(Ms) -> integer_to_binary(Ms).

-spec answer(operation(), term()) -> [binary()].
answer({touch, _, _}, true) -> [<<"touched">>, <<"yes">>];
answer({touch, _, _}, false) -> [<<"touched">>, <<"no">>];
answer({get, _}, absent) -> [<<"found">>, <<"-">>];
answer({get, _}, Value) -> [<<"found">>, Value];
answer({settled, _}, Term) -> [<<"term">>, integer_to_binary(Term)].

-spec perform(operation()) -> ok | {ok, term()} | failed.
perform({put, Key, Value, infinity}) ->
    ram:put(Key, Value, ?TABLE);
perform({put, Key, Value, TtlMs}) ->
    put_for(rand:uniform(2), Key, Value, TtlMs);
perform({touch, Key, Ttl}) ->
    {ok, ram:touch(Key, Ttl, ?TABLE)};
perform({get, Key}) ->
    {ok, get(rand:uniform(3), Key)};
perform({settled, _BoundMs}) ->
    %% What it led with is committed: so the leader is one.
    ok = ram:put(settled, node(), ?TABLE),
    #{term := Term} = ram:status(),
    {ok, Term}.

put_for(1, Key, Value, TtlMs) ->
    ram:put(Key, Value, ?TABLE#{ttl => TtlMs});
put_for(2, Key, Value, TtlMs) ->
    {true, [ok], _Rev} = ram:txn([], [{put, Key, Value, #{ttl => TtlMs}}], [], ?TABLE),
    ok.

get(1, Key) -> ram:get(Key, absent, ?TABLE);
get(2, Key) ->
    case ram:fetch(Key, ?TABLE) of {ok, Value} -> Value; error -> absent end;
get(3, Key) ->
    maps:get(Key, ram:get_many([Key], ?TABLE), absent).
