%% What Erlang distribution says of a node may come later than ram, and may change: its name, its
%% cookie; and where its host is known. Nodes here begin without a name, if not said otherwise.
-module(ram_names_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([nodes_that_get_their_names_after_ram_started_make_a_cluster_under_them/1,
         a_cluster_of_one_keeps_its_data_under_the_name_that_its_node_gets/1,
         a_cluster_of_one_in_memory_keeps_its_data_under_the_name_that_its_node_gets/1,
         a_cluster_of_one_whose_node_got_a_name_takes_members/1,
         a_folder_that_a_node_of_the_new_name_left_is_not_written_over/1,
         a_member_of_several_whose_node_is_renamed_serves_on_and_says_what_to_do/1,
         a_node_whose_name_is_still_to_come_waits_for_it/1,
         members_that_serve_take_a_new_cookie/1,
         hidden_nodes_find_members_whose_ports_have_changed/1,
         hidden_nodes_that_are_not_connected_find_each_other_on_changed_ports/1,
         a_node_listens_on_all_addresses_unless_its_host_is_local/1,
         only_a_listener_that_others_should_reach_and_cannot_is_warned_of/1,
         hosts_that_know_themselves_by_a_loopback_address_make_a_cluster/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(hosts_that_know_themselves_by_a_loopback_address_make_a_cluster, Config) ->
    %% A hosts file of its own is mounted over that of the machine, for one VM alone.
    Mounts = os:cmd("unshare -m sh -c 'mount --bind /etc/hosts /etc/hosts' && echo works"),
    case {ram_spaces:available(), lists:suffix("works\n", Mounts)} of
        {ok, true} -> folder(Config);
        {ok, false} -> {skip, "no file can be mounted over another here: " ++ Mounts};
        {{no, Why}, _} -> {skip, Why}
    end;
init_per_testcase(_Case, Config) ->
    folder(Config).

folder(Config) ->
    Unique = "names" ++ integer_to_list(erlang:unique_integer([positive])),
    Folder = filename:join(ram_case:folder(Config), Unique),
    ok = filelib:ensure_path(filename:join(Folder, "epmd")),
    [{folder, Folder} | Config].

end_per_testcase(_Case, _Config) ->
    ok.

folder_of(Config) -> proplists:get_value(folder, Config).

%% A VM without distribution; ram, when it starts, has its folder in one of the VM's own. It ends
%% with the process of the case.
plain(Config, Name) ->
    plain(Config, Name, []).

plain(Config, Name, Args) ->
    {ok, Peer, _} = peer:start_link(
                      #{connection => standard_io, wait_boot => 30000,
                        args => Args ++ ram_peers:code_paths() ++ epmd(folder_of(Config)) ++
                            ["-setcookie", "ram_names"]}),
    Home = filename:join(folder_of(Config), Name),
    ok = filelib:ensure_path(Home),
    ok = peer:call(Peer, file, set_cwd, [Home]),
    Peer.

epmd(Folder) ->
    ["-start_epmd", "false", "-epmd_module", "ram_test_epmd",
     "-ram_test_epmd", filename:join(Folder, "epmd"),
     "-kernel", "prevent_overlapping_partitions", "false"].

get_name(Peer, Name) ->
    Node = list_to_atom(Name ++ "@127.0.0.1"),
    {ok, _} = peer:call(Peer, net_kernel, start, [[Node, longnames]]),
    true = peer:call(Peer, erlang, set_cookie, [ram_names]),
    Node.

ram(Peer, Function, Arguments) ->
    peer:call(Peer, ram, Function, Arguments, 60000).

raised(Peer, Function, Arguments) ->
    try {returned, ram(Peer, Function, Arguments)}
    catch error:Reason -> Reason
    end.

nodes_that_get_their_names_after_ram_started_make_a_cluster_under_them(Config) ->
    Peers = [One, Two, Three] = [plain(Config, Name) || Name <- ["a", "b", "c"]],
    [ok = ram(Peer, start, []) || Peer <- Peers],
    [A, B, C] = [get_name(Peer, Name) || {Peer, Name} <- lists:zip(Peers, ["a", "b", "c"])],
    ?assertEqual(ok, ram(One, start_cluster, [[A, B]])),
    ?assertEqual([A, B], ram(Two, nodes, [])),
    ?assertEqual(ok, ram(Two, add_node, [C])),
    ram_peers:eventually(fun() -> ram(One, nodes, []) =:= [A, B, C] end),
    ok = ram(Three, put, [k, v]),
    ?assertEqual(v, ram(One, get, [k])),
    Folder = filename:join([folder_of(Config), "a", "ram_data"]),
    ?assertEqual({ok, [atom_to_list(A)]}, file:list_dir(Folder)).

a_cluster_of_one_keeps_its_data_under_the_name_that_its_node_gets(Config) ->
    Peer = plain(Config, "a"),
    ok = ram(Peer, start_cluster, [[nonode@nohost]]),
    ok = ram(Peer, put, [k, v]),
    A = get_name(Peer, "a"),
    ram_peers:eventually(fun() -> ram(Peer, nodes, []) =:= [A] end),
    ?assertEqual(v, ram(Peer, get, [k])),
    ok = ram(Peer, put, [l, w]),
    Folder = filename:join([folder_of(Config), "a", "ram_data"]),
    Dir = list_to_binary(filename:join(Folder, atom_to_list(A))),
    ?assertMatch(#{data_dir := Dir}, ram(Peer, status, [])),
    ?assertEqual({ok, [atom_to_list(A)]}, file:list_dir(Folder)),
    ok = ram(Peer, stop, []),
    ok = ram(Peer, start, []),
    ?assertEqual(ok, ram(Peer, start_cluster, [[A]])),
    ?assertEqual({v, w}, {ram(Peer, get, [k]), ram(Peer, get, [l])}).

a_cluster_of_one_in_memory_keeps_its_data_under_the_name_that_its_node_gets(Config) ->
    Peer = plain(Config, "a"),
    ok = ram(Peer, start_cluster, [[nonode@nohost], #{storage => memory}]),
    ok = ram(Peer, put, [k, v]),
    A = get_name(Peer, "a"),
    ?assertEqual(ok, ram(Peer, start_cluster, [[A]])),
    ?assertEqual([A], ram(Peer, nodes, [])),
    ?assertEqual(v, ram(Peer, get, [k])).

a_cluster_of_one_whose_node_got_a_name_takes_members(Config) ->
    [One, Two] = [plain(Config, Name) || Name <- ["a", "b"]],
    ok = ram(One, start_cluster, [[nonode@nohost]]),
    ok = ram(One, put, [k, v]),
    [A, B] = [get_name(Peer, Name) || {Peer, Name} <- [{One, "a"}, {Two, "b"}]],
    ?assertEqual(ok, ram(One, start_cluster, [[A]])),
    ?assertEqual(ok, ram(One, add_node, [B])),
    ?assertEqual([A, B], ram(Two, nodes, [])),
    ?assertEqual(v, ram(Two, get, [k])).

a_folder_that_a_node_of_the_new_name_left_is_not_written_over(Config) ->
    Peer = plain(Config, "a"),
    ok = ram(Peer, start_cluster, [[nonode@nohost]]),
    ok = ram(Peer, put, [k, v]),
    Left = filename:join([folder_of(Config), "a", "ram_data", "a@127.0.0.1"]),
    ok = file:make_dir(Left),
    A = get_name(Peer, "a"),
    {error, {failed, A, {renamed, Text}}} = ram(Peer, start_cluster, [[A]]),
    [?assertNotEqual(nomatch, string:find(Text, Word))
     || Word <- ["nonode@nohost", "a@127.0.0.1", Left]],
    ?assertEqual(v, ram(Peer, get, [k])),
    ?assertEqual({ok, []}, file:list_dir(Left)).

a_member_of_several_whose_node_is_renamed_serves_on_and_says_what_to_do(Config) ->
    Peers = [One, Two] = [plain(Config, Name) || Name <- ["a", "b"]],
    Nodes = [A, B] = [get_name(Peer, Name) || {Peer, Name} <- lists:zip(Peers, ["a", "b"])],
    ok = ram(One, start_cluster, [Nodes]),
    ok = ram(One, put, [k, v]),
    ok = peer:call(Two, net_kernel, stop, []),
    ok = ram(Two, put, [k, w]),
    C = get_name(Two, "c"),
    {error, {failed, C, {renamed, Text}}} = ram(Two, start_cluster, [[C]]),
    [?assertNotEqual(nomatch, string:find(Text, atom_to_list(Name))) || Name <- [B, C]],
    ?assertMatch({error, {failed, C, {renamed, _}}}, ram(One, add_node, [C])),
    ?assertEqual([[A, B], [A, B]], [ram(Peer, nodes, []) || Peer <- Peers]),
    ?assertEqual(w, ram(Two, get, [k])),
    %% Its former name is what it serves under.
    ok = peer:call(Two, net_kernel, stop, []),
    B = get_name(Two, "b"),
    ?assertEqual(ok, ram(Two, start_cluster, [Nodes])).

a_node_whose_name_is_still_to_come_waits_for_it(Config) ->
    Peer = plain(Config, "a", ["-sname", "undefined"]),
    {ok, Other, _} = peer:start_link(#{name => "ram_named", host => "localhost",
                                       longnames => false, connection => standard_io,
                                       args => ["-setcookie", "ram_names"] ++
                                           ram_peers:code_paths() ++ epmd(folder_of(Config))}),
    ok = ram(Peer, start, []),
    ?assertEqual(noproc, raised(Peer, get, [k])),
    ?assertMatch(#{role := none, reason := unnamed, data_dir := undefined},
                 ram(Peer, status, [])),
    ?assertEqual({error, {failed, nonode@nohost, unnamed}},
                 ram(Peer, start_cluster, [[nonode@nohost]])),
    true = peer:call(Peer, net_kernel, connect_node, [peer:call(Other, erlang, node, [])]),
    Node = peer:call(Peer, erlang, node, []),
    ?assertNotEqual(nonode@nohost, Node),
    ?assertEqual(ok, ram(Peer, start_cluster, [[Node]])),
    ?assertEqual([Node], ram(Peer, nodes, [])).

members_that_serve_take_a_new_cookie(Config) ->
    Run = ram_peers:start(3, folder_of(Config)),
    All = ram_peers:nodes(Run),
    ok = ram_peers:call(Run, 1, start_cluster, [All]),
    [pong = ram_peers:call(Run, A, net_adm, ping, [Node]) || A <- [1, 2], Node <- All],
    [true = ram_peers:call(Run, I, erlang, set_cookie, [another]) || I <- [1, 2, 3]],
    %% All connections end, and new ones are made with the new cookie; so does a node that comes.
    [ok = ram_peers:tune(Run, A, B, cut) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    ok = ram_peers:heal(Run),
    [ok = ram_peers:call(Run, I, put, [I, v]) || I <- [1, 2, 3]],
    ok = ram_peers:kill(Run, 3),
    Three = ram_peers:start_node(Run, 3),
    true = ram_peers:call(Run, 3, erlang, set_cookie, [another]),
    ok = ram_peers:call(Run, 3, start, []),
    ?assertEqual(ok, ram_peers:call(Run, 1, add_node, [Three])),
    ?assertEqual(v, ram_peers:call(Run, 3, get, [1])),
    ram_peers:stop(Run).

%% All at once, so that nobody finds anybody where it was; while the nodes are connected, and before
%% they are.
hidden_nodes_find_members_whose_ports_have_changed(Config) ->
    Run = ram_peers:start(3, folder_of(Config), [], #{wires => direct, args => ["-hidden"]}),
    All = ram_peers:nodes(Run),
    ok = ram_peers:call(Run, 1, start_cluster, [All]),
    ok = ram_peers:call(Run, 1, put, [k, v]),
    with_other_ports(Run, fun() -> ok end),
    ?assertEqual([], ram_peers:call(Run, 1, erlang, nodes, [])),
    ram_peers:eventually(fun() -> ram_peers:call(Run, 2, get, [k]) =:= v end),
    %% Who joins now finds them where they are, and not where they were added.
    New = ram_peers:start_node(Run, 4),
    ok = ram_peers:call(Run, 1, add_node, [New]),
    ok = ram_peers:call(Run, 1, remove_node, [New]),
    ram_peers:halt(Run, 4),
    with_other_ports(Run, fun() -> [disconnect(Run, I, All) || I <- [1, 2, 3]] end),
    [pong = ram_peers:call(Run, I, net_adm, ping, [Node]) || I <- [1, 2, 3], Node <- All],
    ram_peers:eventually(fun() -> ram_peers:call(Run, 2, get, [k]) =:= v end),
    ram_peers:stop(Run).

%% Two of three, which have not spoken to each other over Erlang distribution: hidden nodes are not
%% connected because both are to a third one.
hidden_nodes_that_are_not_connected_find_each_other_on_changed_ports(Config) ->
    Run = ram_peers:start(3, folder_of(Config), [], #{wires => direct, args => ["-hidden"]}),
    All = ram_peers:nodes(Run),
    ok = ram_peers:call(Run, 1, start_cluster, [All]),
    ok = ram_peers:call(Run, 1, put, [k, v]),
    Taken = taken(Run),
    ram_peers:halt(Run, 1),
    [disconnect(Run, I, All) || I <- [2, 3]],
    [ok = ram_peers:call(Run, I, start, []) || I <- [2, 3]],
    [gen_tcp:close(Listener) || Listener <- Taken],
    ram_peers:eventually(fun() -> ram_peers:call(Run, 2, get, [k]) =:= v end),
    ram_peers:stop(Run).

disconnect(Run, I, All) ->
    [ram_peers:call(Run, I, erlang, disconnect_node, [Node]) || Node <- All],
    ram_peers:eventually(fun() -> ram_peers:call(Run, I, erlang, nodes, [connected]) =:= [] end).

%% The application is started again on all nodes while their former ports are taken.
with_other_ports(Run, Meanwhile) ->
    Taken = taken(Run),
    Meanwhile(),
    [ok = ram_peers:call(Run, I, start, []) || I <- [1, 2, 3]],
    [gen_tcp:close(Listener) || Listener <- Taken].

%% The application is stopped on all nodes, and their ports are taken.
taken(Run) ->
    Ports = [begin
                 #{address := Address} = ram_peers:call(Run, I, status, []),
                 [Host, Port] = string:split(binary_to_list(Address), ":"),
                 {Host, list_to_integer(Port)}
             end || I <- [1, 2, 3]],
    [ok = ram_peers:call(Run, I, stop, []) || I <- [1, 2, 3]],
    [begin
         {ok, Ip} = inet:parse_address(Host),
         {ok, Listener} = gen_tcp:listen(Port, [{ip, Ip}, {reuseaddr, true}]),
         Listener
     end || {Host, Port} <- Ports].

a_node_listens_on_all_addresses_unless_its_host_is_local(_Config) ->
    [?assertEqual({Node, Listen}, {Node, element(1, ram_distribution:listen(Node))})
     || {Node, Listen} <- [{nonode@nohost, <<"127.0.0.1">>}, {'a@127.0.0.1', <<"127.0.0.1">>},
                           {'a@127.7.0.9', <<"127.7.0.9">>}, {a@localhost, <<"localhost">>},
                           {'a@::1', <<"::1">>}, {a@debian, <<"0.0.0.0">>},
                           {'a@10.0.0.1', <<"0.0.0.0">>}, {'a@db.example.org', <<"0.0.0.0">>}]].

only_a_listener_that_others_should_reach_and_cannot_is_warned_of(Config) ->
    [?assertEqual({Node, Listen, Is}, {Node, Listen,
                                       ram_distribution:is_known_here_only(Node, Listen)})
     || {Node, Listen, Is} <- [{a@debian, <<"127.0.0.1">>, true}, {a@debian, <<"::1">>, true},
                               {a@debian, <<"localhost">>, true}, {a@debian, <<"0.0.0.0">>, false},
                               {a@debian, <<"10.0.0.1">>, false}, {a@debian, <<"::">>, false},
                               {'a@127.0.0.1', <<"127.0.0.1">>, false},
                               {nonode@nohost, <<"127.0.0.1">>, false}]],
    Peer = plain(Config, "a", ["-ram", "listen", "{\"127.0.0.1\",0}"]),
    File = filename:join(folder_of(Config), "kept"),
    ok = peer:call(Peer, logger, add_handler, ram_log:handler(File)),
    {ok, _} = peer:call(Peer, net_kernel, start, [['a@db.example.org', longnames]]),
    ok = ram(Peer, start_cluster, [['a@db.example.org']]),
    ram_peers:eventually(fun() -> length(ram_log:lines_of(File, "only this host")) =:= 1 end).

%% Debian's installer makes such a hosts file: 127.0.1.1 for the own name, and the others' true
%% addresses. Each node has a network and a hosts file of its own.
hosts_that_know_themselves_by_a_loopback_address_make_a_cluster(Config) ->
    Spaces = ram_spaces:start(),
    Hosts = [{1, "hosta", "10.86.0.11"}, {2, "hostb", "10.86.0.12"}],
    [{One, A}, {Two, B}] = [on_host(Config, Spaces, Hosts, I) || {I, _, _} <- Hosts],
    ?assertEqual({ok, {127, 0, 1, 1}}, peer:call(One, inet, getaddr, ["hosta", inet])),
    ?assertEqual(ok, ram(One, start_cluster, [[A, B]])),
    ok = ram(Two, put, [k, v]),
    ?assertEqual(v, ram(One, get, [k])),
    #{address := Address} = ram(One, status, []),
    ?assertMatch([<<"hosta">>, _], binary:split(Address, <<":">>)),
    [ok = peer:stop(Peer) || Peer <- [One, Two]],
    ok = ram_spaces:stop(Spaces).

on_host(Config, Spaces, Hosts, I) ->
    {I, Host, Address} = lists:keyfind(I, 1, Hosts),
    File = filename:join(folder_of(Config), Host),
    Others = [[Ip, " ", Name, "\n"] || {_, Name, Ip} <- Hosts, Name =/= Host],
    ok = file:write_file(File, ["127.0.0.1 localhost\n127.0.1.1 ", Host, "\n", Others]),
    Enter = ram_spaces:enter(Spaces, I, Address),
    Script = Enter ++ " unshare -m sh -c 'mount --bind " ++ File ++
        " /etc/hosts && exec erl \"$@\"' erl \"$@\"",
    Options = #{name => "ram", host => Host, longnames => false, connection => standard_io,
                wait_boot => 30000, exec => {"/bin/sh", ["-c", "exec " ++ Script, "erl"]},
                args => ram_peers:code_paths() ++ epmd(folder_of(Config)) ++
                    ["-setcookie", "ram_names"]},
    {ok, Peer, Node} = peer:start_link(Options#{name => "ram" ++ integer_to_list(I)}),
    Home = filename:join(folder_of(Config), "home" ++ Host),
    ok = filelib:ensure_path(Home),
    ok = peer:call(Peer, file, set_cwd, [Home]),
    {Peer, Node}.
