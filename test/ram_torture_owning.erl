%% Locks, in a torture run: a client takes one for a process of its own, shows the token to a
%% resource that refuses older ones, and then gives it back, or the process dies; or all of them do
%% with their node. A workload of ram_torture_client, whose files have a line before each call and
%% a line after it:
%%
%%     i OP owned lock NAME T | i OP owned guarded NAME TOKEN T | i OP owned unlock NAME TOKEN T
%%     i OP owned drop NAME TOKEN T | i OP owned free NAME T
%%     r OP ok token TOKEN T | r OP ok held T | r OP ok yes T | r OP ok no T | r OP ok T
%%
%% A token is used no more once its lock was given back, whatever came of that. The resource is a
%% key that is only changed on the condition of what was seen. At the end nobody who took a lock
%% lives, so each is free, or its node has been gone for less than the owner timeout.
-module(ram_torture_owning).
-behaviour(ram_torture_client).

-export([create/1, opening/0, operation/2, last/2, words/1, answer/2, perform/1]).

-type name() :: binary().
-type operation() :: {lock | free, name()} | {guarded | unlock | drop, name(), ram:token()}.

-define(TABLE, #{table => guarded}).
-define(NAMES, [<<"l1">>, <<"l2">>, <<"l3">>]).
-define(WAIT_MS, [0, 20, 200, 1000]).
%% The owner timeout, and elections.
-define(FREE_MS, 40000).

-spec create(integer()) -> ok.
create(_Seed) -> ram:create_table(guarded, #{type => set}).

-spec opening() -> [operation()].
opening() -> [].

-spec operation(string(), non_neg_integer()) -> operation().
operation(_Client, _PassedNs) ->
    case get(held) of
        {Name, Token, _Holder} -> {use(rand:uniform(10)), Name, Token};
        undefined -> {lock, lists:nth(rand:uniform(length(?NAMES)), ?NAMES)}
    end.

use(N) when N =< 7 -> guarded;
use(N) when N =< 9 -> unlock;
use(_) -> drop.

%% @doc Sees that all locks are free.
-spec last(ram_torture_client:ask(), non_neg_integer()) -> ok.
last(Ask, _PassedNs) ->
    lists:foreach(fun(Name) -> _ = Ask({free, Name}) end, ?NAMES).

-spec words(operation()) -> [binary()].
words({What, Name}) ->
    [<<"owned">>, atom_to_binary(What), Name];
words({What, Name, Token}) ->
    [<<"owned">>, atom_to_binary(What), Name, integer_to_binary(Token)].

-spec answer(operation(), term()) -> [binary()].
answer({lock, _}, held) -> [<<"held">>];
answer({lock, _}, Token) -> [<<"token">>, integer_to_binary(Token)];
answer(_, true) -> [<<"yes">>];
answer(_, false) -> [<<"no">>].

-spec perform(operation()) -> ok | {ok, term()}.
perform({lock, Name}) ->
    lock(Name, lists:nth(rand:uniform(length(?WAIT_MS)), ?WAIT_MS));
perform({guarded, Name, Token}) ->
    {ok, is_taken(Name, Token)};
perform({unlock, Name, Token}) ->
    {Name, Token, Holder} = erase(held),
    try {ok, ram:unlock(Name, Token)}
    after exit(Holder, kill)
    end;
perform({drop, Name, Token}) ->
    {Name, Token, Holder} = erase(held),
    true = exit(Holder, kill),
    ok;
perform({free, Name}) ->
    case ram:lock(Name, #{wait => ?FREE_MS}) of
        {ok, Token} -> {ok, ram:unlock(Name, Token)};
        {error, timeout} -> {ok, false}
    end.

lock(Name, WaitMs) ->
    Client = self(),
    {Holder, Monitor} = spawn_monitor(fun() -> hold(Client, Name, WaitMs) end),
    receive
        {Holder, {ok, Token}} ->
            true = demonitor(Monitor, [flush]),
            _ = put(held, {Name, Token, Holder}),
            {ok, Token};
        {'DOWN', Monitor, process, Holder, {error, Reason}} when Reason =:= held;
                                                                 Reason =:= timeout ->
            {ok, held};
        {'DOWN', Monitor, process, Holder, {raised, Reason}} ->
            error(Reason)
    end.

hold(Client, Name, WaitMs) ->
    Watched = monitor(process, Client),
    try ram:lock(Name, #{wait => WaitMs}) of
        {ok, _} = Ok ->
            Client ! {self(), Ok},
            receive {'DOWN', Watched, process, Client, _} -> ok end;
        {error, _} = Error ->
            exit(Error)
    catch
        error:Reason -> exit({raised, Reason})
    end.

%% By the resource, which knows the newest token.
is_taken(Name, Token) ->
    case ram:fetch(Name, ?TABLE) of
        {ok, Newest} when Newest > Token -> false;
        Found -> is_taken(Name, Token, expected(Found))
    end.

is_taken(Name, Token, Expected) ->
    case ram:cas(Name, Expected, Token, ?TABLE) of
        {ok, _Revision} -> true;
        {conflict, _Current} -> is_taken(Name, Token)
    end.

expected({ok, Value}) -> {value, Value};
expected(error) -> absent.
