%% Names of processes, in a torture run: a client registers a name for a process of its own, each
%% process once; asks who has a name, whether it has one or not; takes a name away, whoever has it;
%% and kills its process, or they all die with their node. A workload of ram_torture_client, whose
%% files have a line before each call and a line after it; `-' is none:
%%
%%     i OP named register NAME PROCESS T | i OP named kill NAME PROCESS T
%%     i OP named whereis NAME T | i OP named unregister NAME T | i OP named free NAME T
%%     r OP ok yes T | r OP ok no T | r OP ok found PROCESS T | r OP ok T
%%
%% A process that is not known to have been given the name is killed. Names live for some seconds,
%% as keys do: one that was taken away without an answer may be so at any later time, and nothing
%% is known of it any more. At the end none of these processes lives, so each name is free, or its
%% node has been gone for less than the owner timeout.
-module(ram_torture_naming).
-behaviour(ram_torture_client).

-export([create/1, opening/0, operation/2, last/2, words/1, answer/2, perform/1]).

-type name() :: binary().
-type operation() :: {whereis | unregister | free, name()} | {register | kill, name(), pid()}.

-define(EPOCH_NS, 20000000000).
-define(NAMES_AT_ONCE, 3).
%% The owner timeout, and elections.
-define(FREE_MS, 40000).
-define(LOOK_AGAIN_MS, 100).

-spec create(integer()) -> ok.
create(_Seed) -> ok.

-spec opening() -> [operation()].
opening() -> [].

-spec operation(string(), non_neg_integer()) -> operation().
operation(_Client, PassedNs) ->
    Name = name(PassedNs div ?EPOCH_NS, rand:uniform(?NAMES_AT_ONCE)),
    case {get(named), rand:uniform(100)} of
        {_, N} when N =< 50 -> {whereis, Name};
        {_, 51} -> {unregister, Name};
        {undefined, _} -> {register, Name, process()};
        {{Own, _}, N} when N =< 90 -> {whereis, Own};
        {{Own, _}, N} when N =< 94 -> {unregister, Own};
        {{Own, Process}, _} -> {kill, Own, Process}
    end.

name(Epoch, N) -> iolist_to_binary(io_lib:format("p~b.~b", [Epoch, N])).

%% It lives as long as its client, at most.
process() ->
    Client = self(),
    spawn(fun() ->
                  Monitor = monitor(process, Client),
                  receive {'DOWN', Monitor, process, Client, _} -> ok end
          end).

%% @doc Sees that all names are free.
-spec last(ram_torture_client:ask(), non_neg_integer()) -> ok.
last(Ask, PassedNs) ->
    lists:foreach(fun(Name) -> _ = Ask({free, Name}) end,
                  [name(Epoch, N) || Epoch <- lists:seq(0, PassedNs div ?EPOCH_NS),
                                     N <- lists:seq(1, ?NAMES_AT_ONCE)]).

-spec words(operation()) -> [binary()].
words({What, Name}) ->
    [<<"named">>, atom_to_binary(What), Name];
words({What, Name, Process}) ->
    [<<"named">>, atom_to_binary(What), Name, text(Process)].

%% The same on every node, as a pid that is printed is not; and of one process, also when the
%% numbers of a node begin anew. So stands a pid in the external term format.
text(Process) ->
    Encoded = term_to_binary(Process),
    <<Id:32, Serial:32, Creation:32>> = binary:part(Encoded, byte_size(Encoded), -12),
    iolist_to_binary(io_lib:format("~s/~b.~b.~b", [node(Process), Creation, Id, Serial])).

-spec answer(operation(), term()) -> [binary()].
answer({whereis, _}, undefined) -> [<<"found">>, <<"-">>];
answer({whereis, _}, Process) -> [<<"found">>, text(Process)];
answer(_, yes) -> [<<"yes">>];
answer(_, no) -> [<<"no">>].

-spec perform(operation()) -> ok | {ok, term()}.
perform({whereis, Name}) ->
    {ok, ram_registry:whereis_name(Name)};
perform({unregister, Name}) ->
    try ram_registry:unregister_name(Name)
    after
        case get(named) of
            {Name, Process} -> dead(Process);
            _ -> ok
        end
    end;
perform({register, Name, Process}) ->
    try ram_registry:register_name(Name, Process) of
        yes -> _ = put(named, {Name, Process}), {ok, yes};
        no -> {ok, no}
    after
        get(named) =:= undefined andalso exit(Process, kill)
    end;
perform({kill, _Name, Process}) ->
    dead(Process);
perform({free, Name}) ->
    {ok, free(Name, erlang:monotonic_time(millisecond) + ?FREE_MS)}.

dead(Process) ->
    _ = erase(named),
    true = exit(Process, kill),
    ok.

free(Name, Until) ->
    case ram_registry:register_name(Name, self()) of
        yes ->
            ok = ram_registry:unregister_name(Name),
            yes;
        no ->
            case erlang:monotonic_time(millisecond) < Until of
                true -> receive after ?LOOK_AGAIN_MS -> free(Name, Until) end;
                false -> no
            end
    end.
