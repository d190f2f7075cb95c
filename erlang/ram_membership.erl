%% Membership changes, called by ram and by ram_bootstrap: members added, removed and replaced. The
%% functions run in the calling process; the leader makes the change, those of one node one after
%% the other.
%%
%% When the calling process is killed, the next call for that node puts everything in order: the
%% leader ends a change that it has begun, or takes it back. Nothing is deleted but what is proven
%% to be no member: an incarnation that the cluster has removed, or one whose own log proves that it
%% never was a member, since the leader makes a voter of a learner only that answers just before.
-module(ram_membership).

-export([add/1, remove/1, replace/2]).

-define(TIMEOUT_MS, 30000).
%% A node may have to catch up with all the data before it is a member.
-define(CATCH_UP_MS, 600000).
%% For how long the word of a member that has ended may be on its way.
-define(EVENT_MS, 5000).

-type result() :: ok | {error, ram_error:cluster_error()}.

%% Additions of one node hold a lock on that node, so that each finds what the one before has made.
-spec add(node()) -> result().
add(Node) ->
    #{cluster := Cluster} = ram_request:status(),
    case ram_cluster:start_application([Node]) of
        ok ->
            Add = fun() -> add(Node, Cluster, ram_cluster:find(Node)) end,
            case ram_request:sync() of
                ok -> global:trans({{?MODULE, Node}, self()}, Add, [Node]);
                {error, Reason} -> {error, ram_error:cluster(Reason)}
            end;
        {error, _} = Error ->
            Error
    end.

add(Node, Cluster, none) ->
    add_fresh(Node, Cluster);
add(Node, _Cluster, {error, Reason}) ->
    {error, ram_cluster:failed(Node, Reason)};
add(Node, Cluster, #{cluster := Cluster, id := Id, address := Address}) ->
    add_known(Node, Cluster, Id, Address);
add(Node, Cluster, #{cluster := Other, members := Others} = Description) ->
    case ram_cluster:holds_cluster(Description) of
        true ->
            {error, {already_clustered, lists:usort([Node | Others])}};
        false ->
            case ram_cluster:cancel_join(Node, Other) of
                ok -> add_fresh(Node, Cluster);
                {error, _} = Error -> Error
            end
    end.

%% The node is a member already, or a caller that was killed has left it joining. A node that was
%% removed is added as a new incarnation: an id is never used again.
add_known(Node, Cluster, Id, Address) ->
    case change({add, Id, atom_to_binary(Node), Address}, ?CATCH_UP_MS) of
        {error, {removed, _Name}} ->
            %% This may be the word of one peer alone: nothing is deleted for it.
            case ram_node:set_aside(Node, Id) of
                ok -> add_fresh(Node, Cluster);
                {error, Reason} -> {error, ram_cluster:failed(Node, Reason)}
            end;
        {error, Reason} = Error when element(1, Reason) =:= not_reached;
                                     element(1, Reason) =:= not_caught_up ->
            %% The leader answers this for a node only that is no voter yet.
            undone(Node, Cluster, Id, Error);
        {error, Reason} ->
            %% The node may have been a member before.
            case is_certain(Reason) of
                true -> {error, ram_error:cluster(Reason)};
                false -> {error, ram_error:cluster(timeout)}
            end;
        ok ->
            added(Node, Cluster)
    end.

add_fresh(Node, Cluster) ->
    case ram_node:describe(node()) of
        #{storage := Storage} -> add_fresh(Node, Cluster, Storage);
        %% This node has left the cluster meanwhile.
        _ -> {error, noproc}
    end.

add_fresh(Node, Cluster, Storage) ->
    case ram_cluster:join(Node, Cluster, Storage) of
        {ok, {Id, Name, Address}, _Stored} ->
            case is_connected({Node, Id, Address}) of
                ok -> add_joined(Node, Cluster, {add, Id, Name, Address});
                {error, _} = Error -> unreached(Node, Cluster, Error)
            end;
        {error, _} = Error ->
            Error
    end.

add_joined(Node, Cluster, {add, Id, _Name, _Address} = Add) ->
    case change(Add, ?CATCH_UP_MS) of
        ok -> added(Node, Cluster);
        {error, _} = Error -> undone(Node, Cluster, Id, Error)
    end.

%% Whether this node reaches the new member, and the new member the others, as it must to be
%% elected. Members that this node does not reach either are taken for down.
is_connected({Node, _Id, _Address} = New) ->
    Members = ram_reach:members(),
    case ram_reach:unreached([New]) of
        [Reason | _] -> {error, Reason};
        [] -> reaches(Members, ram_cluster:at(Node, ram_reach, unreached, [Members]))
    end.

reaches(_Members, []) ->
    ok;
reaches(Members, Unreached) when is_list(Unreached) ->
    Down = [Name || {not_reached, Name, _, _} <- ram_reach:unreached(Members)],
    ram_cluster:first_error([{error, Why} || Why <- Unreached, not is_down(Why, Down)]);
reaches(_Members, {error, _} = Error) ->
    Error.

is_down({not_reached, Name, _, _}, Down) -> lists:member(Name, Down);
is_down(_Reason, _Down) -> false.

%% No other member knows of it.
unreached(Node, Cluster, Error) ->
    _ = ram_node:cancel_join(Node, Cluster),
    Error.

added(Node, Cluster) ->
    ok = ram_node:joined(Node, Cluster),
    %% The node is a member, whether it catches up in time or not.
    _ = ram_cluster:at(Node, ram_request, sync, []),
    ok.

undone(Node, Cluster, Id, {error, Reason}) ->
    case undo(Node, Cluster, Id) =:= ok orelse is_certain(Reason) of
        true -> {error, ram_error:cluster(Reason)};
        false -> {error, ram_error:cluster(timeout)}
    end.

%% Whether the leader answered this, or the change was never sent to it.
is_certain(timeout) -> false;
is_certain(noproc) -> false;
is_certain({failed, _}) -> false;
is_certain(_Reason) -> true.

%% `ok': the incarnation is no member, and will not be one. What is left of it on the node is
%% cancelled by the next call for that node.
undo(Node, Cluster, Id) ->
    case change({remove_one, Id, atom_to_binary(Node)}, ?TIMEOUT_MS) of
        ok ->
            _ = ram_node:erase(Node, Id),
            ok;
        {error, {not_member, _Name}} ->
            _ = ram_node:cancel_join(Node, Cluster),
            ok;
        {error, _} ->
            _ = ram_node:cancel_join(Node, Cluster),
            unknown
    end.

-spec remove(node()) -> result().
remove(Node) ->
    #{cluster := Cluster, id := Own} = ram_request:status(),
    case change({remove, atom_to_binary(Node)}, ?TIMEOUT_MS) of
        ok when Node =:= node() -> erased(Node, ram_node:erase(Node, Own));
        ok -> erase_removed(Node, Cluster, ram_cluster:find_running(Node));
        {error, noproc} when Node =:= node() -> left(Node, ?EVENT_MS);
        {error, Reason} -> {error, ram_error:cluster(Reason)}
    end.

%% The peers of this node may tell it of its removal before the answer comes; its data are set aside
%% then. The word that its member has ended is on its way to ram_node while that still has it.
left(Node, LeftMs) ->
    case ram_node:describe(Node) of
        none -> ok;
        #{running := true} when LeftMs > 0 -> receive after 20 -> left(Node, LeftMs - 20) end;
        _ -> {error, noproc}
    end.

%% The incarnation on the node may be another than the one that was removed.
erase_removed(Node, Cluster, #{cluster := Cluster, id := Id}) ->
    case change({remove_one, Id, atom_to_binary(Node)}, ?TIMEOUT_MS) of
        ok -> erased(Node, ram_node:erase(Node, Id));
        {error, _} -> ok
    end;
erase_removed(Node, _Cluster, {error, Reason}) ->
    erased(Node, {error, Reason});
erase_removed(_Node, _Cluster, _Other) ->
    ok.

%% A node that cannot be called now learns of its removal from its peers, or has done so already.
erased(_Node, ok) -> ok;
erased(_Node, {error, other_member}) -> ok;
erased(_Node, {error, noproc}) -> ok;
erased(_Node, {error, {unreachable, _}}) -> ok;
erased(_Node, {error, {no_answer, _}}) -> ok;
erased(Node, {error, Reason}) -> {error, ram_cluster:failed(Node, Reason)}.

%% @doc The new member is added first, so that the cluster tolerates the removal.
-spec replace(node(), node()) -> result().
replace(Dead, New) ->
    case lists:member(Dead, ram_cluster:nodes()) of
        false ->
            {error, {not_member, Dead}};
        true ->
            case add(New) of
                ok -> remove(Dead);
                {error, _} = Error -> Error
            end
    end.

%% A member of the caller that has ended meanwhile is a failure like others.
change(Change, TimeoutMs) ->
    try ram_request:change(Change, TimeoutMs)
    catch error:noproc -> {error, noproc}
    end.
