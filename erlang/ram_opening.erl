%% How the member of this node is opened: the data folder read, the member that it holds started, or
%% a new one that joins a cluster. Used by ram_member; every function says what follows.
%%
%% The folder holds nothing, a member, or what cannot be read; the library says which, under the
%% lock of the folder, and only a folder that holds nothing is joined. It may change while no member
%% has it open (a volume is mounted late, another process lets go of it), so it is read again for
%% each request that depends on it, and by a timer as long as another process has it.
-module(ram_opening).

-include_lib("kernel/include/logger.hrl").
-include("ram_member.hrl").

-export([refresh/2, open/2, retry/1, restart/2, join/3, joined/1]).
-export([serve/2, failed/2, settings/1, tell_address/2, answer/3]).

%% How soon a folder that another process has is read again.
-define(RETRY_MS, 200).

%% @doc What the folder holds may have changed since it held nothing, or could not be read. A member
%% that failed is started on request only: nothing in its folder says that it would go better.
-spec refresh(#member{}, ram_member:then()) -> ram_member:step().
refresh(#member{handle = undefined, cluster = undefined} = Data, Then) -> open(Data, Then);
refresh(Data, Then) -> Then(Data).

%% @doc Opens the member that the data folder holds, if it holds one.
-spec open(#member{}, ram_member:then()) -> ram_member:step().
open(#member{config = undefined} = Data, Then) ->
    Then(Data);
open(#member{config = #{data_dir := Dir}} = Data, Then) ->
    {work, starting, {read_folder, Dir}, fun(Found, Read) -> found(Found, Read, Then) end, Data}.

found(none, Data, Then) ->
    Then(Data#member{cluster = undefined, failure = undefined});
found({ok, Cluster}, #member{config = #{data_dir := Dir, storage := memory}} = Data, Then) ->
    ?LOG_ERROR("ram: ~ts holds the data of a cluster, but storage is set to memory; "
               "set it to disk, or delete the folder", [Dir]),
    Then(Data#member{cluster = Cluster, failure = {storage_mismatch, disk, memory}});
found({ok, Cluster}, Data, Then) ->
    open_as(<<>>, disk, Data#member{cluster = Cluster}, Then);
found({error, Reason}, Data, Then) ->
    Then(failed(Reason, Data#member{cluster = undefined})).

%% `Cluster' is empty for the one that the data folder holds.
open_as(Cluster, Storage, Data, Then) ->
    Stored = Data#member{storage = Storage},
    Opened = fun({ok, Handle}, Next) -> Then(serve(Handle, Next));
                ({error, Reason}, Next) -> Then(failed(Reason, Next))
             end,
    {work, starting, {open, settings(Stored), Cluster}, Opened, Stored}.

%% @doc By the timer.
-spec retry(#member{}) -> ram_member:step().
retry(#member{handle = undefined, failure = {in_use, _}} = Data) ->
    open(Data, fun(Opened) -> {rest, Opened} end);
retry(Data) ->
    {rest, Data}.

-spec restart(gen_statem:from(), #member{}) -> ram_member:step().
restart(From, #member{handle = undefined} = Data) ->
    open(Data, fun(#member{handle = undefined, failure = undefined} = None) ->
                       answer(From, {error, noproc}, None);
                  (#member{handle = undefined, failure = Reason} = Failed) ->
                       answer(From, {error, Reason}, Failed);
                  (Opened) ->
                       answer(From, ok, Opened)
               end);
restart(From, Data) ->
    answer(From, ok, Data).

%% @doc Makes the node a new incarnation in a cluster, in a folder that holds nothing.
-spec join({binary(), any | disk | memory, pid()}, gen_statem:from(), #member{}) ->
          ram_member:step().
join(Join, From, Data) ->
    refresh(Data, fun(Found) -> join_found(Join, From, Found) end).

join_found({Cluster, Asked, Coordinator}, From,
           #member{handle = undefined, failure = undefined, cluster = undefined,
                   config = #{storage := Set}} = Data) ->
    case storage(Asked, Set) of
        {ok, Storage} ->
            Opened = fun(Opened) -> opened_to_join(Opened, Coordinator, From) end,
            open_as(Cluster, Storage, Data, Opened);
        error ->
            answer(From, {error, {storage_mismatch, Set, Asked}}, Data)
    end;
join_found(_Join, From, #member{handle = undefined, cluster = undefined, failure = Why} = Data) ->
    answer(From, {error, Why}, Data);
join_found(_Join, From, Data) ->
    answer(From, {error, {already_clustered, [node()]}}, Data).

storage(any, any) -> {ok, disk};
storage(any, Set) -> {ok, Set};
storage(Asked, Set) when Set =:= any; Set =:= Asked -> {ok, Asked};
storage(_Asked, _Set) -> error.

%% A member that was not opened has undone what it made.
opened_to_join(#member{handle = undefined, failure = Reason} = Data, _Coordinator, From) ->
    answer(From, {error, Reason}, Data);
opened_to_join(#member{handle = Handle, config = #{name := Name}} = Data, Coordinator, From) ->
    #{id := Id, address := Address} = ram_description:handle_status(Handle),
    Monitored = Data#member{coordinator = monitor(process, Coordinator)},
    answer(From, {ok, {Id, Name, Address}}, Monitored).

%% @doc The coordinator has made it a member.
-spec joined(#member{}) -> #member{}.
joined(#member{coordinator = Coordinator} = Data) ->
    _ = Coordinator =/= undefined andalso demonitor(Coordinator, [flush]),
    Data#member{coordinator = undefined}.

%% @doc Requests go to this member from now on.
-spec serve(ram_nif:member(), #member{}) -> #member{}.
serve(Handle, #member{config = #{call_timeout_ms := TimeoutMs, reads := Reads} = Config} = Data) ->
    ok = ram_nif:member_set_cookie(Handle, Data#member.cookie),
    ok = ram_request:set_member(Handle, TimeoutMs, Reads),
    #{cluster := Cluster, members := Members} = ram_description:handle_status(Handle),
    Serving = Data#member{handle = Handle, cluster = Cluster, failure = undefined},
    ok = ram_distribution:warn(node(), Config),
    %% Hidden nodes are not connected because both are to a third one: this connects them.
    Named = [binary_to_atom(Name) || {_Id, Name, _Address, _Role} <- Members],
    ok = tell_address(lists:usort(nodes(connected) ++ Named) -- [node()], Serving),
    Serving.

%% @doc The reason is logged once. The process that has the folder may let go of it: a former member
%% of this node that is stopping.
-spec failed(term(), #member{}) -> #member{}.
failed(Reason, #member{failure = Known} = Data) ->
    Reason =:= Known orelse
        ?LOG_ERROR("ram: the member did not start: ~ts", [ram_error:explain(Reason)]),
    Data#member{failure = Reason, retry = retry_timer(Reason, Data)}.

retry_timer({in_use, _}, #member{retry = Timer}) ->
    _ = Timer =:= undefined orelse erlang:cancel_timer(Timer),
    erlang:send_after(?RETRY_MS, self(), retry);
retry_timer(_Reason, _Data) ->
    undefined.

%% @doc What the library starts a member with.
-spec settings(#member{}) -> map().
settings(#member{config = Config, cookie = Cookie, storage = Storage}) ->
    Config#{cookie => Cookie, memory => Storage =:= memory}.

%% @doc A member whose port changed while others were away: they learn it here, or when it connects.
-spec tell_address([node()], #member{}) -> ok.
tell_address(Nodes, #member{handle = Handle, cluster = Cluster}) ->
    #{id := Id, address := Address} = ram_description:handle_status(Handle),
    ram_node:tell_address(Nodes, Cluster, Id, Address).

%% @doc The request is answered.
-spec answer(gen_statem:from(), term(), #member{}) -> ram_member:step().
answer(From, Reply, Data) ->
    ok = gen_statem:reply(From, Reply),
    {rest, Data}.
