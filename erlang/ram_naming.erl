%% The name and the cookie of this node, which may change, or come later than ram
%% (ram_distribution). Used by ram_member; every function says what follows.
%%
%% Without a member the new name is simply that of the node. A member takes the new cookie; and the
%% new name, if it is the only one of its cluster, since nobody else knows it by the former. A
%% member of several keeps its name, serves on, and is not taken for a node of the new one.
-module(ram_naming).

-include_lib("kernel/include/logger.hrl").
-include("ram_member.hrl").

-export([start/1, check/1]).

%% @doc What the node is called when ram starts.
-spec start(#member{}) -> ram_member:step().
start(Data) ->
    named(with_network(Data), ram_distribution:name()).

%% @doc What became of the name and the cookie of the node, and whether another process tells of
%% nodes.
-spec check(#member{}) -> ram_member:step().
check(Data) ->
    with_name(with_cookie(with_network(Data))).

%% Hidden nodes are members like others.
with_network(#member{network = Known} = Data) ->
    case ram_distribution:network() of
        Known ->
            Data;
        undefined ->
            Data#member{network = undefined};
        Network ->
            _ = net_kernel:monitor_nodes(true, [{node_type, all}]),
            _ = Data#member.handle =:= undefined
                orelse ram_opening:tell_address(nodes(connected), Data),
            Data#member{network = Network}
    end.

with_cookie(#member{cookie = Known, handle = Handle} = Data) ->
    case ram_distribution:cookie(Known) of
        Known ->
            Data;
        Cookie ->
            _ = Handle =:= undefined orelse ram_nif:member_set_cookie(Handle, Cookie),
            Data#member{cookie = Cookie}
    end.

with_name(#member{config = Config} = Data) ->
    Known = case Config of undefined -> undefined; #{name := Name} -> binary_to_atom(Name) end,
    case ram_distribution:name() of
        Known -> {rest, Data#member{misnamed = undefined}};
        Node -> named(Data, Node)
    end.

named(#member{handle = undefined, settings = Settings} = Data, Node) ->
    Left = Data#member{cluster = undefined, failure = undefined, config = undefined,
                       misnamed = undefined},
    case Node of
        undefined ->
            ?LOG_NOTICE("ram: no member is started before this node has a name"),
            {rest, Left};
        _ ->
            #{data_dir := Dir, storage := Storage} = Config = ram_config:named(Settings, Node),
            _ = Storage =:= memory orelse
                ?LOG_NOTICE("ram: the data folder of ~ts is ~ts", [Node, Dir]),
            ram_opening:open(Left#member{config = Config}, fun(Opened) -> {rest, Opened} end)
    end;
%% Distribution was stopped. The member's own connections stay.
named(Data, Node) when Node =:= undefined; Node =:= nonode@nohost ->
    {rest, Data};
named(#member{misnamed = undefined, handle = Handle} = Data, Node) ->
    case ram_description:handle_status(Handle) of
        #{members := [_Alone]} -> rename(Data, Node);
        _ -> misnamed(Data, Node, "the cluster has other members")
    end;
named(Data, _Node) ->
    {rest, Data}.

rename(#member{settings = Settings, handle = Handle, storage = Storage} = Data, Node) ->
    #{data_dir := Dir} = Data#member.config,
    Config = ram_config:named(Settings, Node),
    New = ram_opening:settings(Data#member{config = Config}),
    Renamed = fun(Result, Next) -> renamed(Result, Next, Config, Node) end,
    {work, renaming, {rename, Handle, Storage, Dir, New}, Renamed, Data}.

renamed({ok, Renamed}, Data, #{data_dir := Dir} = Config, Node) ->
    ?LOG_NOTICE("ram: the member of this node is ~ts from now on; its data folder is ~ts",
                [Node, Dir]),
    {rest, ram_opening:serve(Renamed, Data#member{config = Config})};
renamed({error, joined}, Data, _Config, Node) ->
    misnamed(Data, Node, "the cluster has other members");
renamed({error, {not_moved, Why}}, Data, #{data_dir := Dir}, Node) ->
    misnamed(Data, Node, [Dir, ": ", file:format_error(Why)]);
renamed({error, Reason}, Data, Config, _Node) ->
    ram_ending:close(Data#member{config = Config},
                     fun(Closed) -> {rest, ram_opening:failed(Reason, Closed)} end).

misnamed(#member{config = #{name := Name}} = Data, Node, Why) ->
    Text = ram_distribution:misnamed(Name, Node, Why),
    ?LOG_ERROR("ram: ~ts", [Text]),
    {rest, Data#member{misnamed = Text}}.
