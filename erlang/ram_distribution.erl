%% The identity of this node in Erlang distribution: its name, its cookie, and the host that others
%% know it by. All three may come late (net_kernel:start/1, or a name that the first connection
%% gives: `-sname undefined') and may change, so nothing is cached here; ram_naming reads them
%% before each request and once a second. Called by ram_naming, ram_opening, ram_owner and
%% ram_config.
-module(ram_distribution).

-include_lib("kernel/include/logger.hrl").

-export([name/0, cookie/1, network/0, listen/1]).
-export([warn/2, is_known_here_only/2, move_folder/3, misnamed/3]).

%% @doc `undefined' while a name is still to come.
-spec name() -> node() | undefined.
name() ->
    case node() of
        nonode@nohost ->
            case is_alive() of
                true -> undefined;
                false -> nonode@nohost
            end;
        Node ->
            Node
    end.

%% @doc The secret that members prove to each other. A node that is not distributed has no peers, so
%% nobody may know its secret: it keeps the one that it has.
-spec cookie(binary() | undefined) -> binary().
cookie(Known) ->
    case {is_alive(), Known} of
        {true, _} -> atom_to_binary(erlang:get_cookie());
        {false, undefined} ->
            term_to_binary({make_ref(), erlang:unique_integer(), os:getpid(),
                            erlang:system_time(), rand:bytes(32)});
        {false, _} -> Known
    end.

%% @doc The process that reports nodes that come and go; another one after distribution was stopped
%% and started.
-spec network() -> pid() | undefined.
network() ->
    whereis(net_kernel).

%% @doc Where a node listens unless it is told otherwise, and under which host it is known: as
%% Erlang distribution does on all addresses, or on the one that distribution is set to; and a node
%% whose host is no other host's business on that.
-spec listen(node()) -> {Listen :: binary(), Advertise :: binary()}.
listen(nonode@nohost) ->
    {<<"127.0.0.1">>, <<>>};
listen(Node) ->
    Host = host(Node),
    case {is_local(Host), application:get_env(kernel, inet_dist_use_interface)} of
        {true, _} -> {Host, <<>>};
        {false, {ok, Ip}} when is_tuple(Ip) -> {list_to_binary(inet:ntoa(Ip)), Host};
        {false, _} -> {any(), <<>>}
    end.

any() ->
    case init:get_argument(proto_dist) of
        {ok, [["inet6" ++ _] | _]} -> <<"::">>;
        _ -> <<"0.0.0.0">>
    end.

host(Node) ->
    [_Name, Host] = binary:split(atom_to_binary(Node), <<"@">>),
    Host.

%% @doc Says so once when a member listens where nobody else can reach it, unless it is told to be
%% known elsewhere. In a process of its own, since the resolver may take its time.
-spec warn(node(), ram_config:config()) -> ok.
warn(Node, #{advertise := <<>>, listen_host := Host}) ->
    _ = spawn(fun() ->
                      is_known_here_only(Node, Host) andalso
                          ?LOG_WARNING("ram: ~ts listens on ~ts, where only this host can reach it;"
                                       " see the setting listen, and the hosts file", [Node, Host])
              end),
    ok;
warn(_Node, _Config) ->
    ok.

%% @doc Does a node with a host that others may know listen where only this host can reach it? This
%% asks the resolver, so it may take seconds.
-spec is_known_here_only(node(), Listen :: binary()) -> boolean().
is_known_here_only(nonode@nohost, _Listen) ->
    false;
is_known_here_only(Node, Listen) ->
    Addresses = lists:append([addresses(Listen, Family) || Family <- [inet, inet6]]),
    not is_local(host(Node)) andalso Addresses =/= [] andalso
        lists:all(fun is_loopback/1, Addresses).

addresses(Host, Family) ->
    case inet:getaddrs(binary_to_list(Host), Family) of
        {ok, Addresses} -> Addresses;
        {error, _} -> []
    end.

%% @doc The data folder of a node that got another name, unless there is one of that name.
-spec move_folder(disk | memory, binary(), binary()) -> ok | {error, file:posix()}.
move_folder(memory, _Dir, _NewDir) ->
    ok;
move_folder(disk, Dir, Dir) ->
    ok;
move_folder(disk, Dir, NewDir) ->
    case file:read_link_info(NewDir) of
        {error, enoent} -> file:rename(Dir, NewDir);
        {ok, _} -> {error, eexist};
        {error, _} = Error -> Error
    end.

%% @doc What to do when a node got another name, and its member cannot.
-spec misnamed(binary(), node(), unicode:chardata()) -> binary().
misnamed(Name, Node, Why) ->
    unicode:characters_to_binary(
      io_lib:format("this node is called ~ts now, and its member is ~ts (~ts); start the node as "
                    "~ts again, or call ram:remove_node('~ts') on another member, and then "
                    "ram:add_node('~ts')", [Node, Name, Why, Name, Name, Node])).

is_local(<<"localhost">>) ->
    true;
is_local(Host) ->
    case inet:parse_strict_address(binary_to_list(Host)) of
        {ok, Address} -> is_loopback(Address);
        {error, _} -> false
    end.

is_loopback({127, _, _, _}) -> true;
is_loopback({0, 0, 0, 0, 0, 0, 0, 1}) -> true;
is_loopback({0, 0, 0, 0, 0, 16#ffff, High, _}) -> High bsr 8 =:= 127;
is_loopback(_Address) -> false.
