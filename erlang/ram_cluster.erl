%% Clusters made and changed. These functions run in the calling process and ask the ram_node of
%% each node over Erlang distribution; who is a member is decided by the log alone.
%%
%% Making a cluster: every node joins under a new cluster id as an incarnation that nobody knows;
%% the first node of the sorted list then writes all of them into the log as its first entry. Before
%% that entry there is nothing to lose, so a failure is undone by wiping those who joined. One node
%% is the place where calls with the same nodes meet, so they are served one after the other.
-module(ram_cluster).

-export([start/2, stop/1, add/1, remove/1, replace/2, recover/2]).
-export([nodes/0, leader/0, status/0, form/2]).

-define(TIMEOUT_MS, 30000).
%% A node may have to catch up with all the data before it is a member.
-define(CATCH_UP_MS, 600000).

-type storage() :: any | disk | memory.
-type result() :: ok | {error, ram_error:cluster_error()}.

-spec start([node()], storage()) -> result().
start(Nodes, Storage) ->
    case start_application(Nodes) of
        ok -> at(hd(Nodes), ?MODULE, form, [Nodes, Storage]);
        {error, _} = Error -> Error
    end.

%% @doc Runs on the first of the nodes, in the order of the calls.
-spec form([node()], storage()) -> result().
form(Nodes, Storage) ->
    Lock = {?MODULE, self()},
    global:trans(Lock, fun() -> form_or_find(Nodes, Storage) end, [node()]).

form_or_find(Nodes, Storage) ->
    Known = [{Node, Description} || Node <- Nodes, Description <- [ram_node:describe(Node)],
                                    Description =/= none],
    case [Node || {Node, Description} <- Known, holds_cluster(Description)] of
        [] ->
            %% What a broken attempt left behind holds nothing.
            lists:foreach(fun({Node, _}) -> ram_node:erase(Node) end, Known),
            make(Nodes, Storage);
        Members ->
            case is_cluster_of(Nodes, Known) of
                true -> complete(Nodes, [Node || {Node, _} <- Known]);
                false -> {error, {already_clustered, Members}}
            end
    end.

%% The cluster is there. Nodes of it that came back without their data (storage memory, or a disk
%% that was wiped) are made new members, as long as the others can vote for that.
complete(Nodes, Nodes) ->
    sync(Nodes);
complete(Nodes, [Keeper | _] = Kept) ->
    Blank = Nodes -- Kept,
    case 2 * length(Kept) > length(Nodes) of
        true -> first_error([at(Keeper, ?MODULE, add, [Node]) || Node <- Blank]);
        false -> {error, {majority_lost, Blank}}
    end.

first_error(Results) ->
    case [Error || {error, _} = Error <- Results] of
        [] -> ok;
        [Error | _] -> Error
    end.

%% A member that does not run holds what its data folder holds.
holds_cluster(#{running := Running, members := Members, forming := Forming}) ->
    not Running orelse Members =/= [] orelse Forming.

is_cluster_of(Nodes, [{_, #{cluster := Cluster}} | _] = Known) ->
    Clusters = lists:usort([Id || {_, #{cluster := Id}} <- Known]),
    Views = [lists:usort(Members) || {_, #{members := [_ | _] = Members}} <- Known],
    Clusters =:= [Cluster] andalso Views =/= [] andalso lists:all(fun(V) -> V =:= Nodes end, Views).

make(Nodes, Storage) ->
    Cluster = rand:bytes(16),
    case join_all(Nodes, {Cluster, Storage}, []) of
        {ok, Members} ->
            %% This node is the first of them.
            Made = ram_request:change({initialize, Members}, ?TIMEOUT_MS),
            Result = case Made of
                         ok -> sync(Nodes);
                         {error, Reason} -> {error, ram_error:cluster(Reason)}
                     end,
            lists:foreach(fun(Node) -> ram_node:joined(Node, Cluster) end, Nodes),
            Result;
        {error, _} = Error ->
            Error
    end.

join_all([], _What, Joined) ->
    {ok, lists:reverse([Member || {_Node, Member} <- Joined])};
%% All are stored alike: `any' is what the first node is set to.
join_all([Node | Nodes], {Cluster, Storage}, Joined) ->
    case join(Node, Cluster, Storage) of
        {ok, Member} ->
            #{storage := Found} = ram_node:describe(Node),
            join_all(Nodes, {Cluster, Found}, [{Node, Member} | Joined]);
        {error, Reason} ->
            Undo = [Member || {Member, _} <- Joined],
            lists:foreach(fun(Member) -> abandon(Member, Cluster) end, Undo),
            {error, Reason}
    end.

join(Node, Cluster, Storage) ->
    try ram_node:join(Node, Cluster, Storage, self()) of
        {ok, Member} -> {ok, Member};
        {error, {already_clustered, _} = Reason} -> {error, Reason};
        {error, {storage_mismatch, Set, Asked}} -> {error, {storage_mismatch, Node, Set, Asked}};
        {error, {config, Key, Why}} -> {error, {bad_config, Key, Why}};
        {error, Reason} -> {error, {failed, Node, Reason}}
    catch
        exit:_ -> {error, {unreachable, [Node]}}
    end.

abandon(Node, Cluster) ->
    try ram_node:abandon(Node, Cluster)
    catch exit:_ -> ok
    end.

%% Every node sees a leader and has applied what made it a member.
sync(Nodes) ->
    Failed = [{Node, Why} || Node <- Nodes, Why <- [sync_node(Node)], Why =/= ok],
    case Failed of
        [] -> ok;
        [{_, Why} | _] -> {error, {running_on, Nodes -- [N || {N, _} <- Failed], Why}}
    end.

sync_node(Node) ->
    at(Node, ram_request, sync, []).

-spec stop([node()]) -> result().
stop(Nodes) ->
    Failed = [Node || Node <- Nodes, wipe(Node) =/= ok],
    case Failed of
        [] -> ok;
        _ -> {error, {unreachable, Failed}}
    end.

wipe(Node) ->
    try ram_node:erase(Node)
    catch
        %% The application does not run there, but its data may lie there.
        exit:{noproc, _} -> start_and_wipe(Node);
        exit:_ -> error
    end.

start_and_wipe(Node) ->
    case start_application([Node]) of
        ok -> ram_node:erase(Node);
        {error, _} -> error
    end.

-spec add(node()) -> result().
add(Node) ->
    #{cluster := Cluster, members := Members} = ram_request:status(),
    case start_application([Node]) of
        ok -> add(Node, Cluster, Members, ram_node:describe(Node));
        {error, _} = Error -> Error
    end.

add(Node, Cluster, _Members, none) ->
    add_fresh(Node, Cluster);
add(Node, Cluster, _Members, #{cluster := Cluster, running := false}) ->
    case at(Node, ram_node, restart, []) of
        ok -> add(Node);
        {error, Reason} -> {error, {failed, Node, Reason}}
    end;
add(Node, Cluster, Members, #{cluster := Cluster, id := Id, forming := Forming} = Description) ->
    %% Forming: another process is adding it at this moment.
    case lists:keymember(Id, 1, Members) orelse Forming of
        true -> add_member(Node, Cluster, Description);
        false -> readd(Node, Cluster)
    end;
add(Node, Cluster, _Members, #{members := Others} = Description) ->
    case holds_cluster(Description) of
        true -> {error, {already_clustered, lists:usort([Node | Others])}};
        false -> readd(Node, Cluster)
    end.

%% What it holds is of a membership that ended, or never began: it comes back as a new incarnation,
%% since the id it had may have been removed and is never used again.
readd(Node, Cluster) ->
    ok = ram_node:erase(Node),
    add_fresh(Node, Cluster).

add_fresh(Node, Cluster) ->
    #{storage := Storage} = ram_node:describe(node()),
    case join(Node, Cluster, Storage) of
        {ok, {Id, _Name, Address}} ->
            Added = add_member(Node, Cluster, #{id => Id, address => Address}),
            Added =:= ok orelse abandon(Node, Cluster),
            Added;
        {error, _} = Error ->
            Error
    end.

add_member(Node, Cluster, #{id := Id, address := Address}) ->
    Add = {add, Id, atom_to_binary(Node), Address},
    case ram_request:change(Add, ?CATCH_UP_MS) of
        ok ->
            ok = ram_node:joined(Node, Cluster),
            sync([Node]);
        {error, Reason} ->
            {error, ram_error:cluster(Reason)}
    end.

-spec remove(node()) -> result().
remove(Node) ->
    case ram_request:change({remove, atom_to_binary(Node)}, ?TIMEOUT_MS) of
        ok ->
            %% A node that cannot be told now learns it from its peers.
            _ = wipe(Node),
            ok;
        {error, Reason} ->
            {error, ram_error:cluster(Reason)}
    end.

%% @doc The new one first: the cluster must bear the change.
-spec replace(node(), node()) -> result().
replace(Dead, New) ->
    case lists:member(Dead, ?MODULE:nodes()) of
        false ->
            {error, {not_member, Dead}};
        true ->
            case add(New) of
                ok -> remove(Dead);
                {error, _} = Error -> Error
            end
    end.

%% @doc The survivor whose log goes farthest keeps its data as the only member of a new cluster; the
%% others join it afresh.
-spec recover([node()], binary()) -> {ok, map()} | {error, ram_error:cluster_error()}.
recover(Survivors, Cluster) ->
    Found = [{Node, survivor(Node, Cluster)} || Node <- Survivors],
    case [{Node, Why} || {Node, {error, Why}} <- Found] of
        [] -> recover_from(Found, Cluster);
        [{Node, Why} | _] -> {error, {failed, Node, Why}}
    end.

survivor(Node, Cluster) ->
    case at(Node, ram_request, status, []) of
        #{cluster := Cluster, last_log_term := Term, last_log_index := Last} -> {Term, Last};
        #{cluster := Other} -> {error, {belongs_to, Other}};
        {error, Why} -> {error, Why}
    end.

recover_from(Found, Cluster) ->
    {Keeper, _} = lists:last(lists:keysort(2, Found)),
    Members = at(Keeper, ?MODULE, nodes, []),
    New = rand:bytes(16),
    case ram_node:recover(Keeper, Cluster, New) of
        {ok, LastLogIndex} ->
            Others = [Node || {Node, _} <- Found, Node =/= Keeper],
            Report = #{kept => Keeper, last_log_index => LastLogIndex, cluster => New,
                       given_up => Members -- [Keeper | Others]},
            case rejoin(Keeper, Others) of
                ok -> {ok, Report};
                {error, Why} -> {error, {running_on, [Keeper], Why}}
            end;
        {error, Reason} ->
            {error, {failed, Keeper, Reason}}
    end.

rejoin(Keeper, Others) ->
    case sync([Keeper]) of
        ok ->
            lists:foreach(fun(Node) -> ok = ram_node:erase(Node) end, Others),
            first_error([at(Keeper, ?MODULE, add, [Node]) || Node <- Others]);
        {error, _} = Error ->
            Error
    end.

-spec nodes() -> [node()].
nodes() ->
    #{members := Members} = ram_request:status(),
    lists:sort([binary_to_atom(Name) || {_Id, Name, _Address, _Standing} <- Members]).

-spec leader() -> node() | undefined.
leader() ->
    name_of_leader(ram_request:status()).

-spec status() -> map().
status() ->
    case ram_request:member() of
        undefined -> failed(ram_node:failure());
        _Member -> running()
    end.

failed(undefined) -> ram_error:failure(noproc);
failed(Reason) -> #{node => node(), role => down, failure => Reason}.

running() ->
    #{members := Members} = Status = ram_request:status(),
    Status#{node => node(),
            leader := name_of_leader(Status),
            members := [#{node => binary_to_atom(Name), id => Id, address => Address,
                          standing => Standing} || {Id, Name, Address, Standing} <- Members]}.

name_of_leader(#{leader := Id, members := Members}) ->
    case lists:keyfind(Id, 1, Members) of
        {Id, Name, _Address, _Standing} -> binary_to_atom(Name);
        false -> undefined
    end.

start_application(Nodes) ->
    Results = [{Node, at(Node, application, ensure_all_started, [ram])} || Node <- Nodes],
    case [Node || {Node, {error, {unreachable, _}}} <- Results] of
        [] ->
            case [{Node, Why} || {Node, {error, Why}} <- Results] of
                [] -> ok;
                [{Node, Why} | _] -> {error, {not_started, Node, Why}}
            end;
        Unreachable ->
            {error, {unreachable, Unreachable}}
    end.

%% Calls a function on a node; what the node cannot do is a value.
at(Node, Module, Function, Arguments) ->
    try erpc:call(Node, Module, Function, Arguments, ?CATCH_UP_MS)
    catch
        error:{erpc, _} -> {error, {unreachable, [Node]}};
        error:{exception, Reason, _Stack} -> {error, {failed, Node, Reason}};
        exit:{exception, Reason} -> {error, {failed, Node, Reason}}
    end.
