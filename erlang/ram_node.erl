%% Calls to the member of a node over Erlang distribution: what it is, to join or leave a cluster,
%% to start again. ram_member is the process that answers, under the name of this module; requests
%% for keys do not pass through here. Used by what makes, ends and changes clusters.
%%
%% A call returns when what it asks for is done. One that has to wait for other work of the member
%% is refused with `{busy, State}' before the caller gives up, and is not done then.
-module(ram_node).

-export([check/1, await/0, describe/1, describe/2, join/4, joined/2, cancel_join/2, erase/2,
         set_aside/2, restart/0, status/0, recover/3, tell_address/4]).
-export_type([description/0]).

%% What a node says of its member. `joined': its log has an entry, so it belongs to a cluster that
%% was made; `joining': another node is about to make it a member.
-type description() ::
        none
      | #{cluster := binary(), id := pos_integer(), address := binary(), running := boolean(),
          members := [node()], joined := boolean(), joining := boolean(),
          storage := disk | memory}
      | {error, term()}.

%% For how long a request may wait for work of the member, and the work then take.
-define(WAIT_MS, 25000).
-define(WORK_MS, 5000).
-define(STATUS_MS, 5000).

%% @doc Would a member start with this? How sizes must fit each other the library alone knows.
-spec check(ram_config:settings()) -> ok | {error, {bad_config, atom(), binary()}}.
check(Settings) ->
    Config = ram_config:named(Settings, node()),
    case ram_nif:member_check(Config#{cookie => <<>>, memory => false}) of
        ok -> ok;
        {error, {config, Key, Why}} -> {error, {bad_config, binary_to_existing_atom(Key), Why}}
    end.

%% @doc Returns when the member of this node has no work: after the start of the application it
%% serves then, if its folder holds a member that can.
-spec await() -> ok | {error, term()}.
await() ->
    request(node(), await, infinity, infinity).

%% @doc `{error, Reason}' when the node does not answer, or its data folder cannot be read.
-spec describe(node()) -> description().
describe(Node) ->
    describe(Node, ?WAIT_MS).

%% @doc Waits for work of the member for so long; then, or at once with 0, says which it is:
%% `{error, {busy, State}}'.
-spec describe(node(), WaitMs :: non_neg_integer()) -> description().
describe(Node, WaitMs) ->
    request(Node, describe, WaitMs, WaitMs + ?WORK_MS).

%% @doc Makes the node a new incarnation in the cluster, known to nobody yet. `Storage' is `any' for
%% what the node itself is set to.
-spec join(node(), binary(), any | disk | memory, pid()) ->
          {ok, {pos_integer(), binary(), binary()}} | {error, term()}.
join(Node, Cluster, Storage, Coordinator) ->
    call(Node, {join, Cluster, Storage, Coordinator}).

-spec joined(node(), binary()) -> ok.
joined(Node, Cluster) ->
    gen_statem:cast({?MODULE, Node}, {joined, Cluster}).

%% @doc Undoes a join of which nothing came: deletes the member of this cluster there, if its log
%% proves that it never acknowledged anything. Else `{error, joined}', and it is left as it is.
-spec cancel_join(node(), binary()) -> ok | {error, term()}.
cancel_join(Node, Cluster) ->
    call(Node, {cancel_join, Cluster}).

%% @doc Stops the member and deletes its data, if it is of this cluster, or the one with this Raft
%% id; with `any' whatever the folder holds of ram. `{error, other_cluster}' or `{error,
%% other_member}', and nothing is deleted, when it is another.
-spec erase(node(), any | binary() | pos_integer()) -> ok | {error, term()}.
erase(Node, Only) ->
    call(Node, {erase, Only}).

%% @doc Stops the member with this Raft id, which the cluster has removed, and moves its data aside.
-spec set_aside(node(), pos_integer()) -> ok | {error, term()}.
set_aside(Node, Id) ->
    call(Node, {set_aside, Id}).

-spec restart() -> ok | {error, term()}.
restart() ->
    call(node(), restart).

%% @doc Makes the member of the node the only one of the cluster New, with the data it has.
-spec recover(node(), Old :: binary(), New :: binary()) ->
          {ok, LastLogIndex :: non_neg_integer()} | {error, term()}.
recover(Node, Old, New) ->
    call(Node, {recover, Old, New}).

%% @doc What there is to say of this node while no member runs on it.
-spec status() -> map().
status() ->
    Nothing = #{node => node(), role => none, data_dir => undefined, storage => any},
    case call(node(), status, ?STATUS_MS) of
        #{} = Status -> maps:merge(Nothing, Status);
        {error, noproc} -> Nothing#{reason => not_started};
        {error, _} -> Nothing#{reason => busy}
    end.

call(Node, Request) ->
    request(Node, Request, ?WAIT_MS, ?WAIT_MS + ?WORK_MS).

request(Node, Request, WaitMs, TimeoutMs) ->
    call(Node, {request, WaitMs, Request}, TimeoutMs).

call(Node, Message, TimeoutMs) ->
    try gen_statem:call({?MODULE, Node}, Message, TimeoutMs)
    catch
        exit:{noproc, _} -> {error, noproc};
        exit:{{nodedown, _}, _} -> {error, {unreachable, [Node]}};
        exit:{Reason, _} -> {error, {no_answer, Reason}}
    end.

%% @doc Tells other nodes at which address the member with this id of this cluster is now.
-spec tell_address([node()], binary(), pos_integer(), binary()) -> ok.
tell_address(Nodes, Cluster, Id, Address) ->
    lists:foreach(fun(Node) ->
                          gen_statem:cast({?MODULE, Node}, {address, Cluster, Id, Address})
                  end, Nodes).
