%% Cluster bootstrap, called by ram:start_cluster/1,2: finds the cluster that the listed nodes have,
%% waits until that can be known, or forms it. The functions run in the calling process, on a node
%% that serves (`confirm') or on the first of the nodes (`form'), and call the ram_node of each
%% node.
%%
%% A member that serves returns ok whatever the list says of nodes that are not members: a node that
%% was removed and erased cannot be told from one that never was a member, and neither contradicts
%% the cluster. A node that holds another cluster does. A node without a cluster becomes a member in
%% two cases only: all listed nodes answered and none has a cluster, so a new one is formed; or the
%% cluster has it as a member and it has no data, so it lost them. A node that was removed stays
%% out.
%%
%% Forming a cluster: the caller is the coordinator. Every node joins a new cluster id as a new
%% incarnation; every node proves that it reaches every other; the first node of the sorted list
%% then writes all of them into the log as its first entry. Until that entry is committed nothing
%% was acknowledged, so after a failure the joins are cancelled: see `undo'. Coordinators with the
%% same nodes hold a lock on the first of them, so one follows the other.
-module(ram_bootstrap).

-include_lib("kernel/include/logger.hrl").

-export([start/2, confirm/3, form/2, start_and_describe/0]).
-export_type([options/0]).

%% The limit for the description of another node, and how soon a node that gave none is tried again.
-define(DESCRIBE_MS, 10000).
-define(POLL_MS, 200).
%% For how long a node waits for its own work before it describes itself; well below that.
-define(BUSY_MS, 3000).
%% For how long a majority is waited for at a time, and how often waiting is logged.
-define(ROUND_MS, 5000).
%% Limits for the commit of the first entry of a new cluster, and for a member to apply it. When a
%% limit is passed, ram_reach finds the reason.
-define(INITIALIZE_MS, 2000).
-define(SYNC_MS, 5000).
-define(SYNC_ROUNDS, 6).

-type options() :: #{storage := any | disk | memory, wait_ms := non_neg_integer()}.
-type result() :: ok | {error, ram_error:cluster_error()}.
-type found() :: [{node(), ram_node:description()}].

-spec start([node()], options()) -> result().
start(Nodes, #{wait_ms := WaitMs} = Options) ->
    %% A node that is not distributed would wait in vain.
    Ms = case ram_distribution:name() of nonode@nohost -> 0; _ -> WaitMs end,
    attempt(Nodes, Options, deadline(Ms), deadline(?ROUND_MS)).

attempt(Nodes, Options, Deadline, TellAt) ->
    Result = next(Nodes, Options, Deadline, describe_all(Nodes)),
    case {Result, left(Deadline)} of
        %% Another coordinator was faster.
        {found, _} ->
            attempt(Nodes, Options, Deadline, TellAt);
        {{error, {unreachable, Missing}}, LeftMs} when LeftMs > 0 ->
            wait(Nodes, Options, Deadline, {TellAt, left(TellAt), LeftMs}, Missing);
        %% The member has left meanwhile: its peers told it that it was removed.
        {{error, noproc}, LeftMs} when LeftMs > 0 ->
            wait(Nodes, Options, Deadline, {TellAt, LeftMs, LeftMs}, []);
        %% The node has much to read, or to delete.
        {{error, {failed, _Node, {Why, _}}}, LeftMs} when LeftMs > 0, Why =:= busy;
                                                          LeftMs > 0, Why =:= no_answer ->
            wait(Nodes, Options, Deadline, {TellAt, LeftMs, LeftMs}, []);
        _ ->
            Result
    end.

wait(Nodes, Options, Deadline, {_TellAt, 0, LeftMs}, Missing) ->
    case ram_reach:refusing(Missing) of
        [Reason | _] ->
            {error, Reason};
        [] ->
            ?LOG_NOTICE("ram: start_cluster waits for ~0tp, which cannot be reached over Erlang "
                        "distribution, for ~b s more", [Missing, LeftMs div 1000]),
            attempt(Nodes, Options, Deadline, deadline(?ROUND_MS))
    end;
wait(Nodes, Options, Deadline, {TellAt, _, LeftMs}, _Missing) ->
    timer:sleep(min(?POLL_MS, LeftMs)),
    attempt(Nodes, Options, Deadline, TellAt).

next(Nodes, #{storage := Storage} = Options, Deadline, Found) ->
    case {serving(Found), broken(Found) ++ busy(Found), unreachable(Found)} of
        {[First | _] = Serving, _, _} ->
            Left = Options#{wait_ms := left(Deadline)},
            Confirmed = ram_cluster:at(First, ?MODULE, confirm, [Nodes, Left, Found]),
            confirmed(Confirmed, Nodes, Serving);
        {[], [{_, Reason} | _], _} ->
            {error, Reason};
        {[], [], []} ->
            ram_cluster:at(hd(Nodes), ?MODULE, form, [Nodes, Storage]);
        {[], [], Missing} ->
            {error, {unreachable, Missing}}
    end.

%% This node is not made a member of the cluster that the others have: it may have been removed.
confirmed(ok, Nodes, Serving) ->
    case lists:member(node(), Nodes) andalso not is_member(ram_node:describe(node())) of
        true -> {error, {already_clustered, lists:sort(Serving)}};
        false -> ok
    end;
confirmed({error, {running_on, _, _}} = Error, Nodes, Serving) ->
    case confirmed(ok, Nodes, Serving) of
        ok -> Error;
        NoMember -> NoMember
    end;
confirmed(Error, _Nodes, _Serving) ->
    Error.

is_member(#{} = Description) -> ram_cluster:holds_cluster(Description);
is_member(_None) -> false.

%% @doc The description of the node that this runs on, after the application was started there for
%% a caller on another node.
-spec start_and_describe() -> ram_node:description().
start_and_describe() ->
    described_after(ram_cluster:start_here()).

described_after({ok, _Started}) -> ram_cluster:find(node(), ?BUSY_MS);
described_after(Failed) -> not_started(node(), Failed).

not_started(_Node, {error, {unreachable, _}} = Error) -> Error;
not_started(Node, {error, Why}) -> {error, {not_started, Node, Why}}.

%% This node comes first: if it serves, it confirms the cluster.
-spec describe_all([node()]) -> found().
describe_all(Nodes) ->
    {Here, Others} = lists:partition(fun(Node) -> Node =:= node() end, Nodes),
    Own = [{Node, described_after(application:ensure_all_started(ram))} || Node <- Here],
    Answers = call_all(Others, ?MODULE, start_and_describe, [], ?DESCRIBE_MS),
    Own ++ lists:zipwith(fun described/2, Others, Answers).

described(Node, {ok, Description}) -> {Node, Description};
described(Node, Failed) -> {Node, not_started(Node, Failed)}.

call_all(Nodes, Module, Function, Arguments, TimeoutMs) ->
    lists:zipwith(fun answer/2, Nodes,
                  erpc:multicall(Nodes, Module, Function, Arguments, TimeoutMs)).

answer(_Node, {ok, Answer}) -> {ok, Answer};
answer(Node, {error, {erpc, _}}) -> {error, {unreachable, [Node]}};
answer(_Node, {_Class, {exception, Reason, _Stack}}) -> {error, Reason};
answer(_Node, {_Class, Reason}) -> {error, Reason}.

serving(Found) ->
    [Node || {Node, #{joined := true, running := true}} <- Found].

holders(Found) ->
    [Node || {Node, #{} = Description} <- Found, ram_cluster:holds_cluster(Description)].

broken(Found) ->
    [{Node, ram_cluster:failed(Node, Reason)}
     || {Node, {error, Reason}} <- Found, not is_unreachable(Reason), not is_busy(Reason)].

busy(Found) ->
    [{Node, ram_cluster:failed(Node, Reason)} || {Node, {error, Reason}} <- Found, is_busy(Reason)].

is_busy({busy, _}) -> true;
is_busy({no_answer, _}) -> true;
is_busy(_Reason) -> false.

%% Nodes whose description may be had later.
absent(Found) ->
    unreachable(Found) ++ [Node || {Node, _} <- busy(Found)].

unreachable(Found) ->
    [Node || {Node, {error, Reason}} <- Found, is_unreachable(Reason)].

is_unreachable({unreachable, _}) -> true;
is_unreachable(_Reason) -> false.

%% Nodes without data: a cluster that has such a node as a member lost its data there. What a join
%% left that was never completed is no data.
blank(Found) ->
    [Node || {Node, none} <- Found]
        ++ [Node || {Node, #{} = Held} <- Found, not is_member(Held)].

%%% A cluster exists. This runs on one of its members.

%% @doc Whether the cluster of this node is that of the listed nodes, given their descriptions.
%% Members that lost their data are added to it again.
-spec confirm([node()], options(), found()) -> result().
confirm(Nodes, #{storage := Asked, wait_ms := WaitMs}, Found) ->
    case ram_node:describe(node()) of
        #{joined := true, cluster := Cluster, storage := Stored} ->
            case [Node || {Node, #{cluster := Other} = Held} <- Found,
                          is_member(Held), Other =/= Cluster] of
                [_ | _] -> {error, {already_clustered, lists:sort(holders(Found))}};
                [] when Asked =:= any; Asked =:= Stored -> serve(Nodes, Found, deadline(WaitMs));
                [] -> {error, {storage_mismatch, node(), Stored, Asked}}
            end;
        {error, Reason} -> {error, ram_cluster:failed(node(), Reason)};
        _ -> {error, noproc}
    end.

serve(Nodes, Found, Deadline) ->
    Voters = voters(),
    Lost = intersection(blank(Found), Voters),
    Missing = intersection(absent(Found), Voters),
    case Lost =:= [] orelse 2 * length(Voters -- Lost) > length(Voters) of
        false ->
            {error, {majority_lost, Lost}};
        true ->
            case ram_request:sync(?ROUND_MS) of
                ok -> complete(Nodes, Found);
                {error, timeout} -> no_majority(Nodes, Found, Missing, Deadline);
                {error, Reason} -> {error, ram_error:cluster(Reason)}
            end
    end.

%% Nodes may boot one after the other: a majority may still come.
no_majority(Nodes, Found, Missing, Deadline) ->
    Up = [Member || {Node, _, _} = Member <- ram_reach:members(),
                    not lists:member(Node, Missing)],
    Unreached = ram_reach:unreached(Up),
    IsHopeless = 2 * (length(Missing) + length(Unreached)) >= length(voters()),
    case {left(Deadline), Missing, Unreached} of
        %% A majority of the nodes is up, and they do not reach each other.
        {_, _, [Reason | _]} when IsHopeless -> {error, Reason};
        {0, [], _} -> {error, ram_error:cluster(timeout)};
        {0, _, _} -> {error, {unreachable, Missing}};
        {LeftMs, _, _} ->
            ?LOG_NOTICE("ram: start_cluster waits for a majority of the members, for ~b s more; "
                        "busy, or not reached over Erlang distribution: ~0tp",
                        [LeftMs div 1000, Missing]),
            {Again, Known} = lists:partition(fun({Node, _}) ->
                                                     lists:member(Node, absent(Found))
                                             end, Found),
            serve(Nodes, describe_all([Node || {Node, _} <- Again]) ++ Known, Deadline)
    end.

%% A member that lost its data is replaced by a new incarnation while the others are a majority. A
%% member whose data cannot be read did not lose them. Members that cannot be reached are taken for
%% down, which a majority tolerates.
complete(Nodes, Found) ->
    Members = ram_cluster:nodes(),
    Lost = intersection(blank(Found), Members),
    Broken = [Each || {Node, _} = Each <- broken(Found), lists:member(Node, Members)],
    Added = [{Node, Why} || Node <- Lost, {error, Why} <- [ram_membership:add(Node)]],
    Others = [Node || Node <- intersection(holders(Found) ++ Lost, Members),
                      Node =/= node(), not lists:keymember(Node, 1, Added)],
    log_others(Nodes -- Members),
    Late = sync_others(Others, ?SYNC_ROUNDS),
    running_on(lists:sort([node() | Others]), Added ++ Broken ++ Late).

running_on(_Nodes, []) -> ok;
running_on(Nodes, [{First, Why} | _] = Failed) ->
    {error, {running_on, Nodes -- [Node || {Node, _} <- Failed], reason(First, Why)}}.

log_others([]) -> ok;
log_others(Nodes) ->
    ?LOG_WARNING("ram: start_cluster was called with ~0tp, which are no members of the cluster "
                 "that this node serves; ram:add_node/1 makes members", [Nodes]).

%% The nodes that have not applied what is committed, and why. A node that is reached may have a lot
%% to catch up with, and gets some rounds for it.
sync_others(Nodes, Rounds) ->
    Answers = call_all(Nodes, ram_request, sync, [?SYNC_MS], ?SYNC_MS + 1000),
    Failed = lists:append(lists:zipwith(fun not_synced/2, Nodes, Answers)),
    Late = [Node || {Node, timeout} <- Failed],
    case Late =/= [] andalso Rounds > 1 andalso unreached(Late) =:= [] of
        true -> [Each || {_, Why} = Each <- Failed, Why =/= timeout]
                    ++ sync_others(Late, Rounds - 1);
        false -> Failed
    end.

not_synced(_Node, {ok, ok}) -> [];
not_synced(Node, {ok, {error, Why}}) -> [{Node, Why}];
not_synced(Node, {error, Why}) -> [{Node, Why}].

unreached(Nodes) ->
    ram_reach:unreached([Member || {Node, _, _} = Member <- ram_reach:members(),
                                   lists:member(Node, Nodes)]).

%% Why the node has not applied what is committed.
reason(Node, timeout) ->
    case unreached([Node]) of
        [Reason | _] -> Reason;
        [] -> {timeout, {ram, Node}}
    end;
reason(Node, Why) ->
    ram_cluster:failed(Node, Why).

voters() ->
    #{members := Members} = ram_cluster:status(),
    [Node || #{node := Node, standing := voter} <- Members].

intersection(Nodes, Others) ->
    [Node || Node <- lists:sort(Nodes), lists:member(Node, Others)].

%%% No cluster exists. This runs on the first of the nodes, one call after the other.

%% @doc Forms a cluster of nodes that hold none; `found': another coordinator did meanwhile.
-spec form([node()], any | disk | memory) -> result() | found.
form(Nodes, Storage) ->
    Lock = {?MODULE, self()},
    global:trans(Lock, fun() -> form_one(Nodes, Storage) end, [node()]).

form_one(Nodes, Storage) ->
    Found = describe_all(Nodes),
    Failed = broken(Found) ++ busy(Found),
    case {serving(Found), Failed, unreachable(Found), holders(Found)} of
        {[_ | _], _, _, _} -> found;
        {_, [{_, Reason} | _], _, _} -> {error, Reason};
        {_, _, [_ | _] = Missing, _} -> {error, {unreachable, Missing}};
        {_, _, _, [_ | _] = Holders} -> {error, {already_clustered, lists:sort(Holders)}};
        {[], [], [], []} -> make_afresh(Found, Nodes, Storage)
    end.

%% A join that an attempt before this left uncompleted is cancelled first, if the log proves it.
make_afresh(Found, Nodes, Storage) ->
    Undone = [ram_cluster:cancel_join(Node, Cluster) || {Node, #{cluster := Cluster}} <- Found],
    case ram_cluster:first_error(Undone) of
        ok -> make(Nodes, Storage);
        {error, _} = Error -> Error
    end.

make(Nodes, Storage) ->
    Cluster = rand:bytes(16),
    case join_all(Nodes, {Cluster, Storage}, []) of
        {ok, Members} ->
            Result = make_of(Members, Cluster),
            lists:foreach(fun(Node) -> ram_node:joined(Node, Cluster) end, Nodes),
            Result;
        {error, _} = Error ->
            Error
    end.

join_all([], _What, Joined) ->
    {ok, lists:reverse(Joined)};
%% All members have the same storage; with `any' that which the first node is set to.
join_all([Node | Nodes], {Cluster, Storage}, Joined) ->
    case ram_cluster:join(Node, Cluster, Storage) of
        {ok, Member, Found} ->
            join_all(Nodes, {Cluster, Found}, [{Node, Member} | Joined]);
        {error, Reason} ->
            ok = undo(Joined, Cluster),
            {error, Reason}
    end.

make_of(Members, Cluster) ->
    Reached = ram_reach:each_other([{Node, Id, Address} || {Node, {Id, _, Address}} <- Members]),
    case Reached of
        ok ->
            Initial = [Member || {_Node, Member} <- Members],
            Made = ram_request:change({initialize, Initial}, ?INITIALIZE_MS),
            Failed = sync_others([Node || {Node, _} <- Members], 1),
            made(Made, Failed, Members, Cluster);
        {error, _} = Error ->
            ok = undo(Members, Cluster),
            Error
    end.

%% A node has applied the first entry only when it is committed.
made(_Made, [], _Members, _Cluster) ->
    ok;
made(_Made, Failed, Members, _Cluster) when length(Failed) < length(Members) ->
    running_on([Node || {Node, _} <- Members], Failed);
made(Made, [{Node, Why} | _], Members, Cluster) ->
    Reason = case Made of
                 ok -> reason(Node, Why);
                 {error, Failure} -> ram_error:cluster(Failure)
             end,
    case undo_first(Members, Cluster) of
        ok -> {error, Reason};
        {error, _} -> {error, {running_on, [], Reason}}
    end.

%% Before the first entry is committed nothing was acknowledged. The join of a node that cannot be
%% reached is cancelled by the next call.
undo(Members, Cluster) ->
    _ = [ram_node:cancel_join(Node, Cluster) || {Node, _} <- Members],
    ok.

%% The first node, this one, has the entry in its log. If no other log has any entry, no majority
%% ever held it, and none will, since those logs are deleted: nothing was acknowledged. For a single
%% node there is no such proof.
undo_first([_Alone], _Cluster) ->
    {error, joined};
undo_first([{First, {Id, _Name, _Address}} | Others], Cluster) ->
    %% No log is deleted while another holds the entry, so all nodes are described before.
    Holders = [Node || {Node, _} <- Others, not is_empty(ram_node:describe(Node))],
    Undone = [ram_cluster:cancel_join(Node, Cluster) || {Node, _} <- Others, Holders =:= []],
    case {Holders, ram_cluster:first_error(Undone)} of
        {[], ok} -> ram_node:erase(First, Id);
        {[], Error} -> Error;
        {_, _} -> {error, joined}
    end.

is_empty(#{joined := Joined}) -> not Joined;
is_empty(_Unknown) -> false.

now_ms() -> erlang:monotonic_time(millisecond).

deadline(Ms) -> now_ms() + Ms.

left(Deadline) -> max(0, Deadline - now_ms()).
