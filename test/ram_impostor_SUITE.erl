%% A peer with the cookie that says what no member says, to real nodes: it may disturb, and must not
%% end anything. What one such word may not do is told in ram_raft's terms.rs and removal.rs.
-module(ram_impostor_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4, eventually/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_vote_in_the_last_term_of_all_ends_no_elections_also_after_restarts/1,
         a_peer_of_no_configuration_deposes_no_leader/1,
         one_peer_that_says_that_a_member_was_removed_costs_it_nothing/1,
         the_data_of_a_removed_node_are_kept_aside_until_its_folder_is_erased/1]).

-define(VOTE, 2).
-define(LAST_TERM, 16#ffffffffffffffff).
%% No member's id.
-define(UNKNOWN, 7).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3, [], direct).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

%% Asks a member for its vote, and takes whatever it answers.
ask_for_vote(Target, As, Term) ->
    {ok, Socket} = ram_impostor:connect(Target, As),
    Request = ram_impostor:vote_request(Term, As, 1 bsl 40),
    Answer = ram_impostor:request(Socket, ?VOTE, Request),
    ok = ram_impostor:close(Socket),
    Answer.

status(Run, I, Key) ->
    maps:get(Key, call(Run, I, status, [])).

a_vote_in_the_last_term_of_all_ends_no_elections_also_after_restarts(Config) ->
    Run = run(Config),
    Members = [1, 2, 3],
    Targets = [ram_impostor:target(Run, I) || I <- Members],
    Ids = [Id || #{id := Id} <- Targets],
    _ = [ask_for_vote(Target, As, ?LAST_TERM)
         || #{id := Id} = Target <- Targets, As <- [?UNKNOWN | Ids], As =/= Id],
    [?assert(status(Run, I, term) < 1000) || I <- Members],
    ok = call(Run, 1, put, [k, 1]),
    Leader = ram_peers:leader(Run, 1),
    ok = ram_peers:kill(Run, Leader),
    [Other | _] = Members -- [Leader],
    ok = call(Run, Other, put, [k, 2]),
    _ = ram_peers:restart(Run, Leader),
    ok = call(Run, Leader, put, [k, 3]),
    [ok = ram_peers:kill(Run, I) || I <- Members],
    [_ = ram_peers:restart(Run, I) || I <- Members],
    [?assertEqual(3, call(Run, I, get, [k])) || I <- Members],
    ok = call(Run, 2, put, [k, 4]).

%% It speaks of the next term, so that only its being unknown stands against it.
a_peer_of_no_configuration_deposes_no_leader(Config) ->
    Run = run(Config),
    ok = call(Run, 1, put, [k, v]),
    Term = status(Run, 1, term),
    Leader = ram_peers:leader(Run, 1),
    _ = [ask_for_vote(ram_impostor:target(Run, I), ?UNKNOWN, Term + 1) || I <- [1, 2, 3]],
    ok = call(Run, 2, put, [k, w]),
    ?assertEqual([Term, Term, Term], [status(Run, I, term) || I <- [1, 2, 3]]),
    ?assertEqual(Leader, ram_peers:leader(Run, 2)).

one_peer_that_says_that_a_member_was_removed_costs_it_nothing(Config) ->
    Run = run(Config),
    ok = call(Run, 1, put, [k, v]),
    Leader = ram_peers:leader(Run, 1),
    Left = [1, 2, 3] -- [Leader],
    #{id := Id} = Lost = ram_impostor:target(Run, Leader),
    Targets = [ram_impostor:target(Run, I) || I <- Left],
    {Liar, Address} = ram_impostor:refuse(Lost),
    %% It cannot say any more where it is. Whoever leads next looks for it, and finds the liar.
    ok = ram_peers:kill(Run, Leader),
    [ok = ram_impostor:plant(Target, Id, Address) || Target <- Targets],
    eventually(fun() -> ram_impostor:refusals(Liar) > 3 end),
    [ok = call(Run, I, put, [I, w]) || I <- Left],
    [?assertEqual(w, call(Run, I, get, [Each])) || I <- Left, Each <- Left],
    [?assert(filelib:is_file(filename:join(ram_peers:data_dir(Run, I), "member"))) || I <- Left],
    ?assertEqual([[], []], [aside(Run, I) || I <- Left]),
    ok = ram_impostor:stop(Liar).

the_data_of_a_removed_node_are_kept_aside_until_its_folder_is_erased(Config) ->
    Run = run(Config),
    Node = ram_peers:node(Run, 3),
    ok = call(Run, 1, put, [k, v]),
    ok = ram_peers:kill(Run, 3),
    ?assertEqual(ok, call(Run, 1, remove_node, [Node])),
    Node = ram_peers:restart(Run, 3),
    eventually(fun() -> raised(Run, 3, get, [k]) =:= noproc end),
    eventually(fun() -> lists:member("member", [kind(Name) || Name <- aside(Run, 3)]) end),
    Kept = aside(Run, 3),
    ?assert(length(Kept) >= 3, Kept),
    ?assertEqual(ok, call(Run, 1, add_node, [Node])),
    ram_peers:all_agree(Run, [1, 2, 3]),
    ?assertEqual(v, call(Run, 3, get, [k])),
    ?assertEqual(Kept, aside(Run, 3)),
    ?assertEqual(ok, call(Run, 1, stop_cluster, [ram_peers:nodes(Run)])),
    ?assertEqual([], filelib:wildcard("*", ram_peers:data_dir(Run, 3))).

aside(Run, I) ->
    lists:sort(filelib:wildcard("removed-*", ram_peers:data_dir(Run, I))).

kind(Name) ->
    ["removed", _Id, Kind | _] = string:split(Name, "-", all),
    Kind.
