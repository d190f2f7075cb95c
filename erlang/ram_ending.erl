%% How the member of this node ends: it failed, was removed, is erased, begins a new cluster alone,
%% or its join is cancelled. Used by ram_member; every function says what follows.
%%
%% Requests do not reach a member that is being ended. What is left in the folder afterwards is read
%% again: an erasing that was interrupted is finished, and a member that could not be ended serves.
-module(ram_ending).

-include_lib("kernel/include/logger.hrl").
-include("ram_member.hrl").

-export([event/2, cancel_join/3, erase/3, set_aside/3, recover/4, reopen/1, close/2]).

%% @doc What the member that serves says of itself.
-spec event(removed | {failed, binary()}, #member{}) -> ram_member:step().
event(removed, Data) ->
    aside(fun(_Result, Next) -> {rest, Next} end, Data);
event({failed, Text}, Data) ->
    ?LOG_ERROR("ram: the member stopped: ~ts; ram:restart_server() starts it again", [Text]),
    close(Data, fun(Closed) -> {rest, Closed#member{failure = {failed, Text}}} end).

%% @doc Undoes a join of which nothing came, if the log proves it.
-spec cancel_join(binary(), gen_statem:from(), #member{}) -> ram_member:step().
cancel_join(Cluster, From, #member{cluster = Cluster, handle = Handle} = Data)
  when Handle =/= undefined ->
    Cancelled = fun({error, joined} = Error, Ended) ->
                        Left = Ended#member{coordinator = undefined},
                        ram_opening:open(Left, replying(From, Error));
                   (Result, Ended) ->
                        erased(Result, Ended, answering(From))
                end,
    ended(erasing, {cancel_join, Handle}, Cancelled, Data);
cancel_join(Cluster, From, #member{cluster = Cluster, failure = Reason} = Data) ->
    ram_opening:answer(From, {error, Reason}, Data);
cancel_join(_Other, From, Data) ->
    ram_opening:answer(From, ok, Data).

%% @doc Deletes the data: of this cluster, of the member with this Raft id, or `any'.
-spec erase(any | binary() | integer(), gen_statem:from(), #member{}) -> ram_member:step().
erase(Only, From, #member{cluster = Cluster} = Data)
  when is_binary(Only), is_binary(Cluster), Only =/= Cluster ->
    ram_opening:answer(From, {error, other_cluster}, Data);
erase(Id, From, Data) when is_integer(Id) ->
    case ram_description:describe(Data) of
        #{id := Id} -> erase(any, From, Data);
        _ -> ram_opening:answer(From, {error, other_member}, Data)
    end;
erase(Only, From, #member{handle = undefined, config = #{data_dir := Dir}} = Data) ->
    Call = {erase_folder, Dir, known_cluster(Only, Data)},
    {work, erasing, Call, fun(Result, Ended) -> erased(Result, Ended, answering(From)) end, Data};
erase(_Only, From, #member{handle = Handle} = Data) ->
    Erased = fun(Result, Ended) -> erased(Result, Ended, answering(From)) end,
    ended(erasing, {erase, Handle}, Erased, Data).

known_cluster(any, #member{cluster = undefined}) -> <<>>;
known_cluster(any, #member{cluster = Cluster}) -> Cluster;
known_cluster(Only, _Data) -> Only.

%% @doc Moves the data of the member with this Raft id aside, which its cluster has removed.
-spec set_aside(integer(), gen_statem:from(), #member{}) -> ram_member:step().
set_aside(Id, From, Data) ->
    case ram_description:describe(Data) of
        #{id := Id, running := true} -> aside(answering(From), Data);
        _ -> ram_opening:answer(From, {error, other_member}, Data)
    end.

%% What the member held is kept until somebody says that it may go.
aside(Then, #member{handle = Handle} = Data) ->
    Moved = fun({ok, Prefix}, #member{config = #{data_dir := Dir}} = Ended) ->
                    ?LOG_NOTICE("ram: this node was removed from its cluster; its data are kept as "
                                "~ts*", [filename:join(Dir, Prefix)]),
                    erased(ok, Ended, Then);
               (Failed, Ended) ->
                    erased(Failed, Ended, Then)
            end,
    ended(erasing, {set_aside, Handle}, Moved, Data).

%% What is left when the files are gone, or some of them are not: the next read of the folder
%% finishes that.
erased(Result, Data, Then) ->
    Left = Data#member{coordinator = undefined, failure = undefined},
    case Result of
        ok ->
            Then(ok, Left#member{cluster = undefined});
        {error, {not_erased, _} = Reason} ->
            Then(Result, ram_opening:failed(Reason, Left#member{cluster = undefined}));
        {error, _} ->
            ram_opening:open(Left, fun(Opened) -> Then(Result, Opened) end)
    end.

%% @doc Makes the member the only one of the cluster New.
-spec recover(binary(), binary(), gen_statem:from(), #member{}) -> ram_member:step().
recover(_Old, _New, From, #member{handle = undefined} = Data) ->
    ram_opening:answer(From, {error, noproc}, Data);
recover(Old, New, From, #member{handle = Handle} = Data) ->
    Recovered = fun({ok, Recovered, LastLogIndex}, Next) ->
                        Serving = ram_opening:serve(Recovered, Next),
                        ram_opening:answer(From, {ok, LastLogIndex}, Serving);
                   ({error, other_cluster} = Error, Next) ->
                        ram_opening:answer(From, Error, Next);
                   ({error, _} = Error, Next) ->
                        close(Next, fun(Closed) ->
                            ram_opening:open(Closed, replying(From, Error))
                        end)
                end,
    {work, recovering, {recover, Handle, Old, New}, Recovered, Data}.

%% @doc Closes the member, and opens what the folder holds.
-spec reopen(#member{}) -> ram_member:step().
reopen(Data) ->
    close(Data, fun(Closed) -> ram_opening:open(Closed, fun(Opened) -> {rest, Opened} end) end).

-spec close(#member{}, ram_member:then()) -> ram_member:step().
close(#member{handle = undefined} = Data, Then) ->
    Then(Data);
close(#member{handle = Handle} = Data, Then) ->
    ended(stopping, {close, Handle}, fun(_Result, Closed) -> Then(Closed) end, Data).

%% Nobody asks the member from now on.
ended(State, Call, Then, Data) ->
    _ = ram_request:clear_member(),
    {work, State, Call, fun(Result, Next) -> Then(Result, Next#member{handle = undefined}) end,
     Data}.

answering(From) ->
    fun(Reply, Data) -> ram_opening:answer(From, Reply, Data) end.

replying(From, Reply) ->
    fun(Data) -> ram_opening:answer(From, Reply, Data) end.
