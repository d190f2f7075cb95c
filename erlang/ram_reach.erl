%% Reachability of members over ram's own connections, checked before a cluster depends on it.
%% Called by ram_bootstrap and ram_membership; changes nothing.
-module(ram_reach).

-export([each_other/1, unreached/1, members/0, refusing/1]).
-export_type([member/0]).

%% Limits for a member to answer another, and for the call of a node that asks it to.
-define(REACH_MS, 2500).
-define(CALL_MS, 4000).
-define(CONNECT_MS, 1000).

-type member() :: {node(), Id :: pos_integer(), Address :: binary()}.

%% @doc Every member reaches every other, and finds there whom it looks for; or the first that one
%% of them does not reach.
-spec each_other([member()]) -> ok | {error, ram_error:cluster_error()}.
each_other(Members) ->
    Nodes = [Node || {Node, _, _} <- Members],
    Answers = erpc:multicall(Nodes, ?MODULE, unreached, [Members], ?CALL_MS),
    case lists:append(lists:zipwith(fun answer/2, Nodes, Answers)) of
        [] -> ok;
        [Reason | _] -> {error, Reason}
    end.

answer(_Node, {ok, Unreached}) -> Unreached;
answer(Node, {error, {erpc, _}}) -> [{unreachable, [Node]}];
answer(Node, {_Class, {exception, Reason, _Stack}}) -> [{failed, Node, Reason}];
answer(Node, {_Class, Reason}) -> [{failed, Node, Reason}].

%% @doc Those of these members that the member of this node does not reach: where, and why not.
-spec unreached([member()]) -> [ram_error:cluster_error()].
unreached(Members) ->
    Others = [Other || {Node, _, _} = Other <- Members, Node =/= node()],
    case ram_request:reach([{Id, Address} || {_, Id, Address} <- Others], ?REACH_MS) of
        {ok, Answers} -> lists:append(lists:zipwith(fun not_reached/2, Others, Answers));
        {error, Reason} -> [ram_cluster:failed(node(), Reason)]
    end.

not_reached(_Other, ok) ->
    [];
not_reached({Node, _Id, Address}, {unreached, _Cause, Text}) ->
    [{not_reached, Node, Address, <<"from ", (atom_to_binary(node()))/binary, ": ", Text/binary>>}].

%% @doc The members of the cluster, each where the member of this node has found it last; that may
%% be elsewhere than where the log says that it was added.
-spec members() -> [member()].
members() ->
    #{members := Members, peers := Peers, id := Own, address := Here} = ram_cluster:status(),
    Seen = [{Id, Address} || #{id := Id, address := Address} <- Peers, is_binary(Address)],
    Found = maps:from_list([{Own, Here} | Seen]),
    [{Node, Id, maps:get(Id, Found, Address)}
     || #{node := Node, id := Id, address := Address} <- Members].

%% @doc Those of these nodes that are up, since something listens where they are registered, and
%% that refuse Erlang distribution all the same: to wait for them would be in vain.
-spec refusing([node()]) -> [ram_error:cluster_error()].
refusing(Nodes) ->
    lists:append([refuses(Node) || Node <- Nodes]).

refuses(Node) ->
    case string:split(atom_to_list(Node), "@") of
        [Name, Host] ->
            try (net_kernel:epmd_module()):port_please(Name, Host, ?CONNECT_MS) of
                {port, Port, _Version} -> refuses(Node, Host, Port);
                _NotThere -> []
            catch _:_ -> []
            end;
        [_NoHost] ->
            []
    end.

refuses(Node, Host, Port) ->
    case gen_tcp:connect(Host, Port, [], ?CONNECT_MS) of
        {ok, Socket} ->
            ok = gen_tcp:close(Socket),
            Address = unicode:characters_to_binary(io_lib:format("~ts:~b", [Host, Port])),
            [{not_reached, Node, Address,
              <<"it refuses Erlang distribution; is the cookie the same on both nodes?">>}
             || is_refused(Node)];
        {error, _} ->
            []
    end.

%% A node that is frozen, or busy, does not answer in time; one that refuses does so at once.
is_refused(Node) ->
    {Us, Connected} = timer:tc(net_kernel, connect_node, [Node]),
    Connected =/= true andalso Us < ?CONNECT_MS * 1000.
