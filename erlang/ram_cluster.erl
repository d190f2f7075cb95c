%% Clusters described, ended and recovered; and what forming them (ram_bootstrap) and changing them
%% (ram_membership) have in common. Called by ram and by these two. The functions run in the calling
%% process and call the ram_node of each node over Erlang distribution; who is a member is decided
%% by the log alone.
-module(ram_cluster).

-export([stop/1, recover/2]).
-export([nodes/0, leader/0, status/0]).
%% For ram_bootstrap and ram_membership.
-export([at/4, start_application/1, start_here/0, find/1, find/2, find_running/1, join/3,
         cancel_join/2, holds_cluster/1, failed/2, first_error/1]).

%% A node may have to catch up with all the data before it is a member.
-define(CATCH_UP_MS, 600000).
%% For how long, and how often, a node is tried again whose folder another process has locked.
-define(LOCKED_MS, 3000).
-define(POLL_MS, 100).
%% For how long work of a node is waited for.
-define(BUSY_MS, 25000).

-type storage() :: any | disk | memory.
-type result() :: ok | {error, ram_error:cluster_error()}.

%% @doc The description of a node. A member that failed is started again: the cause may be mended.
%% Two causes are given a moment to pass: a process that is not there (its supervisor may be about
%% to start it), and a folder that another process has locked (a former member that is stopping).
-spec find(node()) -> ram_node:description().
find(Node) ->
    find(Node, ?BUSY_MS).

%% @doc As find/1; work of the node is waited for so long.
-spec find(node(), BusyMs :: non_neg_integer()) -> ram_node:description().
find(Node, BusyMs) ->
    find(Node, BusyMs, ?LOCKED_MS).

find(Node, BusyMs, LeftMs) ->
    case describe_started(Node, BusyMs) of
        {error, {in_use, _}} when LeftMs > 0 -> find_later(Node, BusyMs, LeftMs);
        {error, noproc} when LeftMs > 0 -> find_later(Node, BusyMs, LeftMs);
        Found -> Found
    end.

%% @doc As find/1; a node on which ram does not run is not waited for.
-spec find_running(node()) -> ram_node:description().
find_running(Node) ->
    case ram_node:describe(Node) of
        {error, noproc} = Error -> Error;
        _ -> find(Node)
    end.

find_later(Node, BusyMs, LeftMs) ->
    timer:sleep(?POLL_MS),
    find(Node, BusyMs, LeftMs - ?POLL_MS).

describe_started(Node, BusyMs) ->
    case ram_node:describe(Node, BusyMs) of
        #{running := false} ->
            case at(Node, ram_node, restart, []) of
                ok -> ram_node:describe(Node, BusyMs);
                {error, _} = Error -> Error
            end;
        Description ->
            Description
    end.

%% @doc Cancels the join of a node, if its log proves that it never was a member.
-spec cancel_join(node(), binary()) -> result().
cancel_join(Node, Cluster) ->
    case ram_node:cancel_join(Node, Cluster) of
        ok -> ok;
        {error, joined} -> {error, {already_clustered, [Node]}};
        {error, Reason} -> {error, failed(Node, Reason)}
    end.

%% @doc The first of these that is an error.
-spec first_error([result()]) -> result().
first_error(Results) ->
    case [Error || {error, _} = Error <- Results] of
        [] -> ok;
        [Error | _] -> Error
    end.

%% @doc Whether a member holds, or may soon hold, data of a cluster: one that is joining counts. The
%% commit index proves nothing here: a member that was not told of it may hold all that is
%% committed.
-spec holds_cluster(map()) -> boolean().
holds_cluster(#{joined := Joined, joining := Joining}) ->
    Joined orelse Joining.

%% @doc A node joins as a new incarnation that no member knows yet. Also returns its storage there.
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
failed(_Node, {not_started, _, _} = Reason) -> Reason;
failed(_Node, {not_reached, _, _, _} = Reason) -> Reason;
failed(_Node, {timeout, _} = Reason) -> Reason;
failed(Node, Reason) -> {failed, Node, Reason}.

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

%% The new cluster exists by now. The other survivors lose only what they hold of the old one.
rejoin(Keeper, Others, Old) ->
    case at(Keeper, ram_request, sync, []) of
        ok -> first_error([rejoin_one(Keeper, Node, Old) || Node <- Others]);
        {error, _} = Error -> Error
    end.

rejoin_one(Keeper, Node, Old) ->
    case erase(Node, Old) of
        ok -> at(Keeper, ram_membership, add, [Node]);
        {error, _} = Error -> Error
    end.

-spec nodes() -> [node()].
nodes() ->
    #{members := Members} = ram_request:status(),
    lists:sort([binary_to_atom(Name) || {_Id, Name, _Address, _Role} <- Members]).

-spec leader() -> node() | undefined.
leader() ->
    name_of_leader(ram_request:status()).

%% @doc Never raises: where no member runs it says so, and why.
-spec status() -> map().
status() ->
    try running()
    catch error:noproc -> ram_node:status()
    end.

running() ->
    #{members := Members, heard := Heard, id := Own} = Status = ram_request:status(),
    HeardMs = maps:from_list([{Own, 0} | Heard]),
    (maps:remove(heard, Status))
        #{node => node(),
          leader := name_of_leader(Status),
          members := [#{node => binary_to_atom(Name), id => Id, address => Address,
                        standing => Role, heard_ms => maps:get(Id, HeardMs, undefined)}
                      || {Id, Name, Address, Role} <- Members]}.

name_of_leader(#{leader := Id, members := Members}) ->
    case lists:keyfind(Id, 1, Members) of
        {Id, Name, _Address, _Role} -> binary_to_atom(Name);
        false -> undefined
    end.

-spec start_application([node()]) -> result().
start_application(Nodes) ->
    Results = [{Node, at(Node, ?MODULE, start_here, [])} || Node <- Nodes],
    NotStarted = [{Node, Why} || {Node, {error, Why}} <- Results],
    case {[Node || {Node, {unreachable, _}} <- NotStarted], NotStarted} of
        {[], []} -> ok;
        {[], [{Node, Why} | _]} -> {error, {not_started, Node, Why}};
        {Unreachable, _} -> {error, {unreachable, Unreachable}}
    end.

%% @doc Starts the application on this node for a caller on another one. A node that boots can be
%% reached, and its settings may not be there yet, as those of runtime.exs in a release of Mix:
%% then it counts as not reached, unless its own boot has started the application.
-spec start_here() -> {ok, [atom()]} | {error, term()}.
start_here() ->
    {_Internal, Boot} = init:get_status(),
    case Boot =:= started orelse lists:keymember(ram, 1, application:which_applications()) of
        true -> application:ensure_all_started(ram);
        false -> {error, {unreachable, [node()]}}
    end.

%% @doc Calls a function on a node; a failure of the call is a value.
-spec at(node(), module(), atom(), [term()]) -> term().
at(Node, Module, Function, Arguments) ->
    try erpc:call(Node, Module, Function, Arguments, ?CATCH_UP_MS)
    catch
        error:{erpc, _} -> {error, {unreachable, [Node]}};
        error:{exception, Reason, _Stack} -> {error, {failed, Node, Reason}};
        exit:{_ExceptionOrSignal, Reason} -> {error, {failed, Node, Reason}}
    end.
