%% Writes of which watches are told, in a torture run: one key or several at once, with a time to
%% live or without, and deletions, each with its revision. A workload of ram_torture_client; who
%% watches is ram_torture_receiver. The lines of its file:
%%
%%     i OP change KEY=VALUE KEY! ... T | i OP content T
%%     r OP ok rev REVISION T | r OP ok KEY=VALUE ... T
%%
%% A key with a ! is deleted. Keys are few and stay the same, so that what a watch begins with is
%% short. At the end, when no key has a time to live any more, a last write is made of which every
%% watch is told, and then what the table holds is found on each node.
-module(ram_torture_watched).
-behaviour(ram_torture_client).

-export([create/1, opening/0, operation/2, last/2, words/1, answer/2, perform/1]).
-export([watched/0, mark/1]).

-type operation() :: content
                   | {change, [{binary(), binary() | absent}], TtlMs :: pos_integer() | infinity}.

-define(TABLE, #{table => watched}).
-define(KEYS, 20).
-define(AT_ONCE_MAX, 4).
-define(TTL_MS_MAX, 1500).

-spec create(integer()) -> ok.
create(_Seed) ->
    ok = ram:create_table(watched, #{type => ordered_set}).

-spec opening() -> [operation()].
opening() -> [].

%% @doc What is watched on each node.
-spec watched() -> [ram:watched()].
watched() ->
    [all, all, {key, key(3)}, {range, key(5), key(12)}, {prefix, <<"k1">>}].

key(N) -> iolist_to_binary(io_lib:format("k~2..0b", [N])).

%% Every watch has one of these.
marked() -> [key(3), key(11)].

-spec operation(string(), non_neg_integer()) -> operation().
operation(Client, PassedNs) ->
    Value = value(Client, PassedNs),
    case rand:uniform(20) of
        N when N =< 7 -> {change, [{any_key(), Value}], infinity};
        N when N =< 10 -> {change, [{any_key(), Value}], rand:uniform(?TTL_MS_MAX)};
        N when N =< 13 -> {change, [{any_key(), absent}], infinity};
        N when N =< 15 -> {change, several(Value), rand:uniform(?TTL_MS_MAX)};
        _ -> {change, several(Value), infinity}
    end.

value(Client, PassedNs) -> iolist_to_binary([Client, $-, integer_to_binary(PassedNs)]).

any_key() -> key(rand:uniform(?KEYS)).

%% Its revision is that of a put at least: nothing says whether a deleted key was there.
several(Value) ->
    Keys = lists:usort([any_key() || _ <- lists:seq(1, 1 + rand:uniform(?AT_ONCE_MAX - 1))]),
    [{hd(Keys), Value} | [{Key, one_of(Value, absent)} || Key <- tl(Keys)]].

one_of(Value, Other) ->
    case rand:uniform(3) of 1 -> Other; _ -> Value end.

%% @doc The last write, when nothing else changes the table any more; its revision.
-spec mark(ram_torture_client:ask()) -> ram:rev().
mark(Ask) ->
    ok = ram_peers:eventually(fun all_stay/0, 30 * ?TTL_MS_MAX),
    last_write(Ask).

all_stay() ->
    Stays = fun(N) -> lists:member(ram:ttl(key(N), ?TABLE), [error, {ok, infinity}]) end,
    try lists:all(Stays, lists:seq(1, ?KEYS))
    catch error:{timeout, _} -> false
    end.

last_write(Ask) ->
    Value = value("mark", erlang:unique_integer([positive])),
    case Ask({change, [{Key, Value} || Key <- marked()], infinity}) of
        {ok, Rev} -> Rev;
        _ -> last_write(Ask)
    end.

-spec last(ram_torture_client:ask(), non_neg_integer()) -> ok.
last(Ask, _PassedNs) ->
    _ = Ask(content),
    ok.

-spec words(operation()) -> [binary()].
words(content) -> [<<"content">>];
words({change, Steps, _Ttl}) -> [<<"change">> | [step(Step) || Step <- Steps]].

step({Key, absent}) -> <<Key/binary, $!>>;
step({Key, Value}) -> <<Key/binary, $=, Value/binary>>.

-spec answer(operation(), term()) -> [binary()].
answer({change, _, _}, none) -> [<<"rev">>, <<"-">>];
answer({change, _, _}, Rev) -> [<<"rev">>, integer_to_binary(Rev)];
answer(content, []) -> [<<"-">>];
answer(content, Entries) -> [step(Entry) || Entry <- Entries].

-spec perform(operation()) -> {ok, term()}.
perform(content) ->
    {ok, ram:to_list(?TABLE)};
perform({change, [{Key, absent}], infinity}) ->
    case ram:delete(Key, ?TABLE#{return => rev}) of
        {ok, Rev} -> {ok, Rev};
        error -> {ok, none}
    end;
perform({change, [{Key, Value}], Ttl}) ->
    ram:put(Key, Value, (ttl(Ttl, ?TABLE))#{return => rev});
perform({change, Steps, Ttl}) ->
    case lists:keymember(absent, 2, Steps) of
        false when Ttl =:= infinity -> ram:put_many(Steps, ?TABLE#{return => rev});
        _ -> txn([operation_of(Step, ttl(Ttl, #{})) || Step <- Steps])
    end.

txn(Operations) ->
    {true, _Results, Rev} = ram:txn([], Operations, [], ?TABLE),
    {ok, Rev}.

ttl(infinity, Options) -> Options;
ttl(Ms, Options) -> Options#{ttl => Ms}.

operation_of({Key, absent}, _Options) -> {delete, Key};
operation_of({Key, Value}, Options) -> {put, Key, Value, Options}.
