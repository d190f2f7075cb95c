%% Clusters made and changed. These functions run in the calling process and ask the ram_node of
%% each node over Erlang distribution; who is a member is decided by the log alone.
%%
%% Making a cluster: every node joins under a new cluster id as an incarnation that nobody knows;
%% the first node of the sorted list then writes all of them into the log as its first entry. Before
%% that entry there is nothing to lose, so a failure is undone by wiping those who joined. One node
%% is the place where calls with the same nodes meet, so they are served one after the other.
-module(ram_cluster).

-export([start/2, stop/1, recover/2]).
-export([nodes/0, leader/0, status/0, form/2]).
%% For ram_membership.
-export([at/4, start_application/1, find/1, join/3, abandon/2, holds_cluster/1, failed/2]).

-define(TIMEOUT_MS, 30000).
%% A node may have to catch up with all the data before it is a member.
-define(CATCH_UP_MS, 600000).
%% For how long, and how often, a folder that is held is looked at.
-define(LET_GO_MS, 3000).
-define(LOOK_EVERY_MS, 100).

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
    Found = [{Node, find(Node)} || Node <- Nodes],
    Broken = [{Node, failed(Node, Reason)} || {Node, {error, Reason}} <- Found],
    Known = [{Node, Description} || {Node, #{} = Description} <- Found],
    case {[Each || {_, Description} = Each <- Known, holds_cluster(Description)], Broken} of
        {[], []} -> make_afresh(Known, Nodes, Storage);
        {[], [{_, Reason} | _]} -> {error, Reason};
        {Members, _} ->
            case is_cluster_of(Nodes, Members) of
                true -> complete(Nodes, [Node || {Node, _} <- Members], Broken);
                false -> {error, {already_clustered, [Node || {Node, _} <- Members]}}
            end
    end.

%% @doc What is on a node. A member that failed is started again: what failed it may be mended. A
%% process that is not there may be about to start again, and the folder may be held by its former
%% member, which is stopping: a moment is given to both.
-spec find(node()) -> ram_node:description().
find(Node) ->
    find(Node, ?LET_GO_MS).

find(Node, LeftMs) ->
    case describe_started(Node) of
        {error, {in_use, _}} when LeftMs > 0 -> find_later(Node, LeftMs);
        {error, noproc} when LeftMs > 0 -> find_later(Node, LeftMs);
        Found -> Found
    end.

find_later(Node, LeftMs) ->
    timer:sleep(?LOOK_EVERY_MS),
    find(Node, LeftMs - ?LOOK_EVERY_MS).

describe_started(Node) ->
    case ram_node:describe(Node) of
        #{running := false} ->
            case at(Node, ram_node, restart, []) of
                ok -> ram_node:describe(Node);
                {error, _} = Error -> Error
            end;
        Description ->
            Description
    end.

%% What a broken attempt left behind goes first, where it proves to hold nothing.
make_afresh(Leftovers, Nodes, Storage) ->
    Undone = [abandon(Node, Cluster) || {Node, #{cluster := Cluster}} <- Leftovers],
    case first_error(Undone) of
        ok -> make(Nodes, Storage);
        {error, _} = Error -> Error
    end.

%% @doc Undoes a join of which nothing came, where it proves that nothing did.
-spec abandon(node(), binary()) -> result().
abandon(Node, Cluster) ->
    case ram_node:abandon(Node, Cluster) of
        ok -> ok;
        {error, joined} -> {error, {already_clustered, [Node]}};
        {error, Reason} -> {error, failed(Node, Reason)}
    end.

%% The cluster is there. Nodes of it that came back without their data (storage memory, or a disk
%% that was wiped) are made new members, as long as the others can vote for that. One whose data
%% cannot be read did not lose them.
complete(Nodes, Kept, Broken) ->
    Blank = (Nodes -- Kept) -- [Node || {Node, _} <- Broken],
    case 2 * length(Kept) > length(Nodes) of
        _ when Blank =:= [], Broken =:= [] ->
            sync(Nodes);
        true ->
            Added = [at(hd(Kept), ram_membership, add, [Node]) || Node <- Blank],
            case first_error(Added ++ [{error, Why} || {_, Why} <- Broken]) of
                ok -> ok;
                {error, Why} -> running_on(Nodes, Broken, Why)
            end;
        false when Blank =:= [] ->
            running_on(Nodes, Broken, element(2, hd(Broken)));
        false ->
            {error, {majority_lost, Blank}}
    end.

running_on(_Nodes, [], Why) -> {error, Why};
running_on(Nodes, Broken, Why) -> {error, {running_on, Nodes -- [N || {N, _} <- Broken], Why}}.

first_error(Results) ->
    case [Error || {error, _} = Error <- Results] of
        [] -> ok;
        [Error | _] -> Error
    end.

%% One that others are about to make a member is taken for one. What is known to be committed says
%% nothing here: a member that was elsewhere when that was told may hold all of it.
-spec holds_cluster(map()) -> boolean().
holds_cluster(#{joined := Joined, forming := Forming}) ->
    Joined orelse Forming.

is_cluster_of(Nodes, [{_, #{cluster := Cluster}} | _] = Members) ->
    Clusters = lists:usort([Id || {_, #{cluster := Id}} <- Members]),
    Views = [lists:usort(Each) || {_, #{members := [_ | _] = Each}} <- Members],
    Clusters =:= [Cluster] andalso Views =/= [] andalso lists:all(fun(V) -> V =:= Nodes end, Views).

make(Nodes, Storage) ->
    Cluster = rand:bytes(16),
    case join_all(Nodes, {Cluster, Storage}, []) of
        {ok, Members} ->
            %% This node is the first of them.
            Made = at(node(), ram_request, change, [{initialize, Members}, ?TIMEOUT_MS]),
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
        {ok, Member, Found} ->
            join_all(Nodes, {Cluster, Found}, [{Node, Member} | Joined]);
        {error, Reason} ->
            %% Nobody has heard of them yet. One that cannot be reached is undone by the next call.
            _ = [ram_node:abandon(Each, Cluster) || {Each, _} <- Joined],
            {error, Reason}
    end.

%% @doc Also returns how it is stored there.
-spec join(node(), binary(), storage()) ->
          {ok, {pos_integer(), binary(), binary()}, disk | memory}
        | {error, ram_error:cluster_error()}.
join(Node, Cluster, Storage) ->
    case ram_node:join(Node, Cluster, Storage, self()) of
        {ok, Member} ->
            case ram_node:describe(Node) of
                #{storage := Found} -> {ok, Member, Found};
                {error, Reason} -> {error, failed(Node, Reason)}
            end;
        {error, Reason} ->
            {error, failed(Node, Reason)}
    end.

%% @doc What a node could not do, as a reason that names it.
-spec failed(node(), term()) -> ram_error:cluster_error().
failed(_Node, {unreachable, _} = Reason) -> Reason;
failed(_Node, {already_clustered, _} = Reason) -> Reason;
failed(Node, {storage_mismatch, Set, Asked}) -> {storage_mismatch, Node, Set, Asked};
failed(_Node, {config, Key, Why}) -> {bad_config, Key, Why};
failed(Node, {not_erased, Text}) -> {not_erased, Node, Text};
failed(_Node, {failed, _, _} = Reason) -> Reason;
failed(Node, Reason) -> {failed, Node, Reason}.

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
    Failed = [{Node, Why} || Node <- Nodes, {error, Why} <- [erase(Node, any)]],
    case {[Node || {Node, {unreachable, _}} <- Failed], Failed} of
        {_, []} -> ok;
        {[], [{_, Why} | _]} -> {error, Why};
        {Unreachable, _} -> {error, {unreachable, Unreachable}}
    end.

%% Only: the cluster whose data are erased, or `any'.
erase(Node, Only) ->
    case ram_node:erase(Node, Only) of
        ok -> ok;
        %% The application does not run there, but its data may lie there.
        {error, noproc} -> start_and_erase(Node, Only);
        {error, Reason} -> {error, failed(Node, Reason)}
    end.

start_and_erase(Node, Only) ->
    case start_application([Node]) of
        ok ->
            case ram_node:erase(Node, Only) of
                ok -> ok;
                {error, Reason} -> {error, failed(Node, Reason)}
            end;
        {error, _} = Error ->
            Error
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
    case at(Keeper, ?MODULE, nodes, []) of
        {error, Why} -> {error, Why};
        Members ->
            Others = [Node || {Node, _} <- Found, Node =/= Keeper],
            recover_from(Keeper, Others, Members, Cluster)
    end.

recover_from(Keeper, Others, Members, Cluster) ->
    New = rand:bytes(16),
    case ram_node:recover(Keeper, Cluster, New) of
        {ok, LastLogIndex} ->
            Report = #{kept => Keeper, last_log_index => LastLogIndex, cluster => New,
                       given_up => Members -- [Keeper | Others]},
            case rejoin(Keeper, Others, Cluster) of
                ok -> {ok, Report};
                {error, Why} -> {error, {running_on, [Keeper], Why}}
            end;
        {error, Reason} ->
            {error, failed(Keeper, Reason)}
    end.

%% The cluster is the keeper's by now. Of the others only what they had of the former one goes.
rejoin(Keeper, Others, Former) ->
    case sync([Keeper]) of
        ok -> first_error([rejoin_one(Keeper, Node, Former) || Node <- Others]);
        {error, _} = Error -> Error
    end.

rejoin_one(Keeper, Node, Former) ->
    case erase(Node, Former) of
        ok -> at(Keeper, ram_membership, add, [Node]);
        {error, _} = Error -> Error
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
    #{members := Members, heard := Heard, id := Own} = Status = ram_request:status(),
    HeardMs = maps:from_list([{Own, 0} | Heard]),
    (maps:remove(heard, Status))
        #{node => node(),
          leader := name_of_leader(Status),
          members := [#{node => binary_to_atom(Name), id => Id, address => Address,
                        standing => Standing, heard_ms => maps:get(Id, HeardMs, undefined)}
                      || {Id, Name, Address, Standing} <- Members]}.

name_of_leader(#{leader := Id, members := Members}) ->
    case lists:keyfind(Id, 1, Members) of
        {Id, Name, _Address, _Standing} -> binary_to_atom(Name);
        false -> undefined
    end.

-spec start_application([node()]) -> result().
start_application(Nodes) ->
    Results = [{Node, at(Node, application, ensure_all_started, [ram])} || Node <- Nodes],
    NotStarted = [{Node, Why} || {Node, {error, Why}} <- Results],
    case {[Node || {Node, {unreachable, _}} <- NotStarted], NotStarted} of
        {[], []} -> ok;
        {[], [{Node, Why} | _]} -> {error, {not_started, Node, Why}};
        {Unreachable, _} -> {error, {unreachable, Unreachable}}
    end.

%% @doc Calls a function on a node; what the node cannot do is a value.
-spec at(node(), module(), atom(), [term()]) -> term().
at(Node, Module, Function, Arguments) ->
    try erpc:call(Node, Module, Function, Arguments, ?CATCH_UP_MS)
    catch
        error:{erpc, _} -> {error, {unreachable, [Node]}};
        error:{exception, Reason, _Stack} -> {error, {failed, Node, Reason}};
        exit:{_ExceptionOrSignal, Reason} -> {error, {failed, Node, Reason}}
    end.
