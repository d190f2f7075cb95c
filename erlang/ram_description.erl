%% What a node says of its member: to its own callers while no member serves (status), and to other
%% nodes that make, end or change clusters (describe). Used by ram_member.
-module(ram_description).

-include("ram_member.hrl").

-export([status/2, describe/1, handle_status/1]).

%% @doc For ram_cluster:status/0. `State' is that of ram_member.
-spec status(atom(), #member{}) -> map().
status(_State, #member{config = undefined}) ->
    #{reason => unnamed};
status(State, #member{config = #{data_dir := Dir, storage := Storage}, failure = Reason} = Data) ->
    Known = #{data_dir => Dir, storage => Storage},
    case {Data#member.work, Reason} of
        {undefined, undefined} -> Known#{reason => no_cluster};
        {undefined, _} -> Known#{role => down, failure => Reason};
        {_, _} -> Known#{reason => busy, work => State}
    end.

-spec describe(#member{}) -> ram_node:description().
describe(#member{config = undefined}) ->
    {error, unnamed};
describe(#member{misnamed = Text}) when is_binary(Text) ->
    {error, {renamed, Text}};
describe(#member{handle = undefined, cluster = undefined, failure = undefined}) ->
    none;
describe(#member{handle = undefined, cluster = undefined, failure = Reason}) ->
    {error, Reason};
describe(#member{handle = undefined, cluster = Cluster, storage = Storage}) ->
    #{cluster => Cluster, id => 0, address => <<>>, running => false, members => [],
      joined => true, joining => false, storage => Storage};
describe(#member{handle = Handle, cluster = Cluster, coordinator = Coordinator} = Data) ->
    #{id := Id, address := Address, joined := Joined, members := Members} = handle_status(Handle),
    #{cluster => Cluster, id => Id, address => Address, running => true,
      members => [binary_to_atom(Name) || {_Id, Name, _Address, _Role} <- Members],
      joined => Joined, joining => Coordinator =/= undefined, storage => Data#member.storage}.

%% @doc Only ram_member has a member closed, so one that it knows has a status.
-spec handle_status(ram_nif:member()) -> map().
handle_status(Handle) ->
    {ok, Status} = ram_nif:member_status(Handle),
    Status.
